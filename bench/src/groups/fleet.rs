//! A believable fleet, as the index knows it, as structs, and as events.

use muster_eventlog::command::State;
use muster_eventlog::project::{Dirty, View as _};
use muster_eventlog::{Actor, Context, Envelope, EventType};
use muster_identity::domain::directory_device::{self, DirectoryDevice, Record};
use muster_identity::domain::membership::Fleet;
use muster_identity::domain::registration::{self, Certificate, Proven, Registration, Serial};
use muster_identity::domain::rule::{Attribute, Property, Quantifier, Test, Truth};
use muster_identity::projection::Membership;
use muster_identity::wire::kind;
use muster_proto::enroll::v1 as enroll;
use muster_types::{Aggregate, DeviceId, DirectoryDeviceId, EventId, StreamId, TenantId, Timestamp, Version};
use uuid::Uuid;

/// Properties that rules read; the first is of each device its own.
pub(super) const PROPERTIES: [&str; 14] = [
    "displayName",
    "deviceOSType",
    "deviceOSVersion",
    "deviceManufacturer",
    "deviceModel",
    "managementType",
    "deviceTrustType",
    "enrollmentCode",
    "tags",
    "deviceOwnership",
    "deviceCategory",
    "extensionAttribute1",
    "extensionAttribute2",
    "enrollmentProfileName",
];
/// Place of `tags` among them.
const TAGS: usize = 8;
/// Those before this place are told by the device and the services, the others by a directory.
const BY_DIRECTORY: usize = 9;

/// A device as a struct: texts in lower case, in the order of [`PROPERTIES`].
pub(super) struct Device {
    pub(super) ordinal: u32,
    texts: [Box<[Box<str>]>; PROPERTIES.len()],
}

impl Device {
    pub(super) fn texts(&self, place: usize) -> &[Box<str>] {
        &self.texts[place]
    }

    pub(super) fn says(&self, test: &Test) -> Truth {
        let texts = &self.texts[place(test.property)];
        let passes = if texts.is_empty() {
            test.predicate.of_nothing(test.quantifier)
        } else {
            let mut passing = texts.iter().map(|text| test.predicate.of_text(text));
            match test.quantifier {
                Quantifier::Any => passing.any(|passes| passes),
                Quantifier::All => passing.all(|passes| passes),
            }
        };
        (passes != test.negated).into()
    }
}

/// The place of a property among [`PROPERTIES`].
pub(super) fn place(property: Property) -> usize {
    PROPERTIES.iter().position(|name| *name == property.name()).expect("rules read these only")
}

fn property(place: usize) -> Property {
    Property::named(PROPERTIES[place]).expect("it is one of the language's properties")
}

/// A number that looks like chance, the same each time.
fn chance(device: u32, what: usize) -> u32 {
    let mixed = (u64::from(device) << 8 | what as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    u32::try_from(mixed >> 40).expect("24 bits")
}

/// What a device has, by place.
fn texts(n: u32, place: usize) -> Vec<String> {
    let of = |kinds: u32| chance(n, place) % kinds;
    let one = |text: String| vec![text];
    let some =
        |share: u32, text: String| if chance(n, place + 100) % 100 < share { vec![text] } else { vec![] };
    let site = ["desktop", "laptop", "web", "sql", "kiosk", "build"][chance(n, 60) as usize % 6];
    match place {
        0 => one(format!("{site}-{n:07}.corp.example")),
        1 => {
            one(["windows", "windows server", "linux", "macos"][[0, 0, 0, 1, 2, 2, 3][of(7) as usize]].into())
        }
        2 => one(format!("10.0.{}.{}", 19_000 + of(20) * 100, of(50))),
        3 => one(format!("maker {}", of(20))),
        4 => one(format!("model {}", of(500))),
        5 => one(["microsoftsense", "mdm"][usize::from(of(10) == 0)].into()),
        6 => some(70, ["azuread", "serverad", "workplace"][of(3) as usize].into()),
        7 => one(["enrolled", "dual_management", "pending"][[0, 0, 0, 0, 1, 2][of(6) as usize]].into()),
        TAGS => (0..of(4)).map(|tag| format!("tag-{}", chance(n, 70 + tag as usize) % 100)).collect(),
        9 => some(70, ["company", "personal"][of(2) as usize].into()),
        10 => some(50, format!("category {}", of(20))),
        11 => some(60, format!("dep-{}", of(100))),
        12 => some(60, format!("site-{}", of(1_000))),
        _ => some(40, format!("profile {}", of(50))),
    }
}

fn attribute(n: u32, place: usize) -> Option<Attribute> {
    let texts = texts(n, place).into_iter().map(Box::from);
    if place == TAGS {
        let texts: Box<[_]> = texts.collect();
        return (!texts.is_empty()).then_some(Attribute::Collection(texts));
    }
    texts.map(Attribute::Text).next()
}

/// The fleet as the index knows it; `first` is the number of the first device.
pub(super) fn indexed(count: u32, first: u32) -> Fleet {
    let mut fleet = Fleet::default();
    for n in first..first + count {
        let ordinal = fleet.admit(DeviceId::from_uuid(Uuid::from_u128(u128::from(n))));
        fleet.set_present(ordinal, true);
        for place in 0..PROPERTIES.len() {
            let attribute = attribute(n, place);
            if place < BY_DIRECTORY {
                fleet.tell(ordinal, property(place), attribute.as_ref());
            } else {
                fleet.tell_by_directory(ordinal, property(place), attribute.as_ref());
            }
        }
    }
    fleet
}

/// The fleet as structs.
pub(super) fn structs(count: u32) -> Vec<Device> {
    let device = |n| {
        let mut of: [Box<[Box<str>]>; PROPERTIES.len()] = std::array::from_fn(|_| Box::default());
        for (place, of) in of.iter_mut().enumerate() {
            let mut texts: Vec<Box<str>> = texts(n, place).into_iter().map(Box::from).collect();
            texts.sort_unstable();
            texts.dedup();
            *of = texts.into();
        }
        Device { ordinal: n, texts: of }
    };
    (0..count).map(device).collect()
}

/// A change of one attribute of some device.
pub(super) fn change(number: u32, devices: u32) -> (u32, Property, Option<Attribute>) {
    let ordinal = chance(number, 200) % devices;
    let place = [0, TAGS, TAGS, TAGS, 7, 5, 2, 4][chance(number, 201) as usize % 8];
    (ordinal, property(place), attribute(devices + number, place))
}

/// Mixed rules: most name values, one in twenty searches names.
pub(super) fn rules(count: usize) -> Vec<String> {
    (0..count).map(|number| rule(u32::try_from(number).unwrap_or_default())).collect()
}

fn rule(n: u32) -> String {
    let of = |kinds: u32, what: usize| chance(n, 300 + what) % kinds;
    let os = ["Windows", "Windows Server", "Linux", "macOS"][of(4, 0) as usize];
    match n % 20 {
        0 | 1 => {
            format!(r#"(device.deviceOSType -eq "{os}") -and (device.managementType -eq "MicrosoftSense")"#)
        }
        2 | 3 => format!(r#"device.tags -any (_ -eq "tag-{}")"#, of(100, 1)),
        4 => format!(r#"device.tags -any (_ -in ["tag-{}","tag-{}"])"#, of(100, 1), of(100, 2)),
        5 => format!(r#"device.deviceOwnership -eq "Company" -and -not (device.deviceOSType -eq "{os}")"#),
        6 => format!(
            r#"device.extensionAttribute1 -eq "dep-{}" -or device.extensionAttribute1 -eq "dep-{}""#,
            of(100, 1),
            of(100, 2)
        ),
        7 => format!(r#"device.extensionAttribute2 -startsWith "site-{}""#, 1 + of(9, 1)),
        8 => format!(
            r#"device.deviceModel -in ["model {}","model {}","model {}"]"#,
            of(500, 1),
            of(500, 2),
            of(500, 3)
        ),
        9 => format!(
            r#"device.deviceOSVersion -startsWith "10.0.{}" -and device.deviceOSType -eq "{os}""#,
            19_000 + of(20, 1) * 100
        ),
        10 => format!(
            r#"device.enrollmentCode -ne "ENROLLED" -and device.deviceManufacturer -eq "maker {}""#,
            of(20, 1)
        ),
        11 => {
            format!(r#"device.deviceTrustType -ne null -and device.tags -any (_ -eq "tag-{}")"#, of(100, 1))
        }
        12 => format!(
            r#"device.deviceCategory -eq null -or device.deviceCategory -eq "category {}""#,
            of(20, 1)
        ),
        13 => format!(
            r#"device.deviceModel -contains "{}" -and device.deviceOwnership -eq "Personal""#,
            of(50, 1)
        ),
        14 => format!(r#"device.enrollmentProfileName -match "profile [{}-9]$""#, of(8, 1)),
        15 => format!(
            r#"-not (device.tags -any (_ -eq "tag-{}")) -and (device.deviceOSType -eq "{os}")"#,
            of(100, 1)
        ),
        16 => format!(
            r#"(device.deviceManufacturer -eq "maker {}" -or device.deviceManufacturer -eq "maker {}") -and device.managementType -ne "MDM""#,
            of(20, 1),
            of(20, 2)
        ),
        17 => format!(r#"device.tags -all (_ -notContains "{}")"#, of(10, 1)),
        18 => format!(
            r#"device.extensionAttribute1 -notIn ["dep-{}","dep-{}"] -and device.deviceTrustType -eq "AzureAD""#,
            of(100, 1),
            of(100, 2)
        ),
        _ => format!(
            r#"device.displayName -startsWith "{}-" -and device.deviceOSType -eq "{os}""#,
            ["web", "sql", "kiosk"][of(3, 1) as usize]
        ),
    }
}

/// The view of identity over the fleet's events; seven in ten devices are known to a directory, by ids of their own.
pub(super) fn view(count: u32) -> anyhow::Result<Membership> {
    let (mut view, mut dirty) = (Membership::new(std::sync::Arc::default()), Dirty::everything());
    for n in 0..count {
        for event in events(n) {
            view.apply(&event, &mut dirty)?;
        }
    }
    Ok(view)
}

/// What the log holds of a device.
pub(super) fn events(n: u32) -> Vec<Envelope> {
    let device = Uuid::from_u128(u128::from(n));
    let text = |place| texts(n, place).pop();
    let os_type = text(1).unwrap_or_default();
    let platform = match &*os_type {
        "linux" => enroll::Platform::Linux,
        "macos" => enroll::Platform::Macos,
        _ => enroll::Platform::Windows,
    };
    let facts = enroll::DeviceFacts {
        platform: platform.into(),
        hostname: text(0).unwrap_or_default(),
        os_version: text(2).unwrap_or_default(),
        server_os: Some(os_type == "windows server"),
        board_vendor: text(3),
        product_name: text(4),
        ..Default::default()
    };
    let known = !texts(n, 6).is_empty();
    let id = Uuid::from_u128(u128::from(n) << 64 | 7).to_string();
    let proven = known.then(|| Proven {
        registration: directory_device::registration(&id).into(),
        join_type: "AzureAD".into(),
    });
    let trusted = registration::Event::TrustEstablished {
        proven,
        spiffe_id: String::new(),
        certificate: Certificate {
            key_digest: [1; 32],
            serial: Serial::from_slice(&[1]).expect("one byte"),
            not_after: Timestamp::from_micros(1),
        },
        hardware_keys: vec![],
    };
    let enrolled = enroll::EnrollmentSucceeded {
        managed_by: enroll::ManagedBy::Muster.into(),
        code: text(7).unwrap_or_default().to_uppercase(),
        ..Default::default()
    };
    let mut events = vec![
        told(
            Aggregate::Enrollment,
            device,
            kind::DEVICE_ONBOARDED,
            &enroll::DeviceOnboarded { facts: Some(facts), ..Default::default() },
        ),
        state::<Registration>(device, &trusted),
        told(Aggregate::Enrollment, device, kind::ENROLLMENT_SUCCEEDED, &enrolled),
    ];
    let tags = texts(n, TAGS);
    if !tags.is_empty() {
        let tagged = enroll::DeviceTagged { added: tags, removed: vec![] };
        events.push(told(Aggregate::Enrollment, device, kind::DEVICE_TAGGED, &tagged));
    }
    if known {
        let attributes = (BY_DIRECTORY..PROPERTIES.len())
            .filter_map(|place| Some((PROPERTIES[place].into(), texts(n, place).pop()?.into())))
            .chain([("devicePhysicalIds".into(), format!("[OrderID]:{},[ZTDId]:{id}", n % 1_000).into())]);
        let record = Record {
            directory_id: id.as_str().into(),
            display_name: "".into(),
            join_type: "AzureAD".into(),
            hardware_keys: Box::default(),
            attributes: attributes.collect(),
        };
        let directory_id = DirectoryDeviceId::of(TenantId::DEFAULT, &id).uuid();
        events.push(state::<DirectoryDevice>(directory_id, &directory_device::Event::Upserted(record)));
    }
    events
}

/// An event of this service.
pub(super) fn state<S: State>(id: Uuid, event: &S::Event) -> Envelope {
    let (kind, payload) = S::encode(event);
    envelope(StreamId::new(TenantId::DEFAULT, S::AGGREGATE, id), kind, payload)
}

/// An event of another service.
pub(super) fn told(
    aggregate: Aggregate,
    id: Uuid,
    kind: &'static str,
    message: &impl prost::Message,
) -> Envelope {
    envelope(StreamId::new(TenantId::DEFAULT, aggregate, id), EventType::new(kind), message.encode_to_vec())
}

fn envelope(stream: StreamId, kind: EventType, payload: Vec<u8>) -> Envelope {
    Envelope {
        position: 1,
        event_id: EventId::from_uuid(Uuid::nil()),
        stream,
        version: Version(1),
        kind,
        context: Context {
            actor: Actor::admin("bench"),
            time: Timestamp::from_micros(1),
            correlation_id: Uuid::nil(),
            causation_id: None,
            traceparent: None,
        },
        prev_hash: [0; 32],
        payload: payload.into(),
    }
}
