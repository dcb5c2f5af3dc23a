use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use muster_proto::identity::v1::HardwareKeyKind;

use super::*;

/// A machine's files below a folder.
struct Tree(tempfile::TempDir);

impl Tree {
    fn of(files: &[(&str, &str)]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for (path, content) in files {
            tree.write(path, content.as_bytes());
        }
        tree
    }

    fn place(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.place(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn survey(&self) -> Survey {
        survey(self.0.path())
    }

    fn facts(&self) -> pb::DeviceFacts {
        self.survey().facts
    }
}

const MACHINE: &[(&str, &str)] = &[
    (
        "etc/os-release",
        "# made\nID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME='Debian GNU/Linux 12 (bookworm)'\n",
    ),
    ("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n"),
    ("proc/sys/kernel/hostname", "web-01\n"),
    ("proc/sys/kernel/random/boot_id", "6fa459ea-ee8a-3ca4-894e-db77e160355e\n"),
    ("etc/machine-id", "0123456789abcdef\n"),
    ("sys/class/dmi/id/board_vendor", "ACME\n"),
    ("sys/class/dmi/id/product_name", "Box 3\n"),
    ("sys/class/dmi/id/product_uuid", "4C4C4544-0042-3310-8052-B4C04F4E4D31\n"),
    ("sys/class/dmi/id/product_serial", "To Be Filled By O.E.M.\n"),
    ("opt/microsoft/mdatp/sbin/wdavdaemon", ""),
    ("usr/bin/clamscan", ""),
    (
        "var/lib/dpkg/status",
        "Package: mdatp\nStatus: install ok installed\nVersion: 101.24092.0001\n\nPackage: x\nVersion: 1\n",
    ),
];

#[test]
fn a_machine_is_told_by_its_files() {
    let tree = Tree::of(MACHINE);
    let Survey { facts, gaps } = tree.survey();
    assert_eq!(gaps, ["the version of clamav is not known: no minimum applies to it"]);
    assert_eq!((facts.os_id.as_str(), facts.os_version.as_str()), ("debian", "12"));
    assert_eq!(facts.os_name, "Debian GNU/Linux 12 (bookworm)");
    assert_eq!((facts.hostname.as_str(), facts.kernel_release.as_str()), ("web-01", "6.1.0-18-amd64"));
    assert_eq!(facts.board_vendor.as_deref(), Some("ACME"));
    let products: Vec<_> =
        facts.security_products.iter().map(|p| (p.id.as_str(), p.version.as_str())).collect();
    assert_eq!(products, [("clamav", ""), ("mdatp", "101.24092.0001")]);
    assert_eq!(facts.hardware_digest.len(), 32);
    assert_eq!(facts.domain_role(), pb::DomainRole::Workgroup);
    assert_eq!(facts.mdm.unwrap().provider(), pb::MdmProvider::None);
    assert_eq!(facts.config_mgr, Some(pb::ConfigMgrFacts::default()));
    assert_eq!(facts.onboarded_through_cloud_defender, Some(false));
    assert_eq!(boot_id(tree.0.path()).unwrap()[..2], [0x6f, 0xa4]);
    assert_eq!(boot_id(Tree::of(&[]).0.path()), None);
}

#[test]
fn hardware_keys_are_of_values_and_not_of_placeholders() {
    let tree = Tree::of(MACHINE);
    let kinds = |tree: &Tree| tree.facts().hardware_keys.iter().map(|key| key.kind()).collect::<Vec<_>>();
    assert_eq!(kinds(&tree), [HardwareKeyKind::SmbiosUuid, HardwareKeyKind::MachineId]);
    let expected = muster_types::HardwareKey::of(
        muster_types::HardwareKeyKind::SmbiosUuid,
        "4c4c4544004233108052b4c04f4e4d31",
    );
    assert_eq!(tree.facts().hardware_keys[0].digest, expected.unwrap().digest);
    let board = Tree::of(&[("etc/machine-id", "uninitialized\n")]);
    board.write("sys/firmware/devicetree/base/serial-number", b"10000000a1b2c3d4\0");
    assert_eq!(kinds(&board), [HardwareKeyKind::Serial], "a board without SMBIOS, before its first boot");
}

#[test]
fn a_missing_board_vendor_is_absent_and_no_error() {
    let tree = Tree::of(MACHINE);
    fs::remove_file(tree.place("sys/class/dmi/id/board_vendor")).unwrap();
    assert_eq!(tree.facts().board_vendor.as_deref(), Some(""));
}

#[test]
fn without_a_machine_id_it_falls_back_and_says_so() {
    let tree = Tree::of(MACHINE);
    let before = tree.facts().hardware_digest;
    fs::remove_file(tree.place("etc/machine-id")).unwrap();
    let without = tree.survey();
    assert_ne!(without.facts.hardware_digest, before);
    assert_eq!(without.gaps[0], "no machine id: the device is recognised again by DMI alone");
    let bare = Tree::of(&[]).survey();
    assert!(bare.gaps.iter().any(|gap| gap.ends_with("by the host name alone")), "{:?}", bare.gaps);
    assert_eq!(bare.facts.hostname, "localhost");
}

#[test]
fn the_digest_tells_its_parts_apart() {
    let digest = |uuid, serial| {
        let files = [("sys/class/dmi/id/product_uuid", uuid), ("sys/class/dmi/id/product_serial", serial)];
        Tree::of(&files).facts().hardware_digest
    };
    assert_ne!(digest("ab", "c"), digest("a", "bc"));
}

#[test]
fn a_domain_is_told_by_what_joining_leaves_behind() {
    let krb5 = ("etc/krb5.conf", "[libdefaults]\n  default_realm = CORP.EXAMPLE\n");
    let joined: [&[(&str, &str)]; 7] = [
        &[("etc/sssd/sssd.conf", "[domain/corp]\nid_provider = ad\n")],
        &[("etc/sssd/conf.d/corp.conf", "[domain/corp]\nid_provider=ipa\n")],
        &[("etc/sssd/sssd.conf", "[domain/corp]\nrealmd_tags = manages-system joined-with-adcli\n")],
        &[("etc/samba/smb.conf", "[global]\n  Security = ADS\n")],
        &[krb5, ("etc/krb5.keytab", "")],
        &[("etc/ipa/default.conf", "")],
        &[("etc/opt/quest/vas/host.keytab", "")],
    ];
    for files in joined {
        assert_eq!(Tree::of(files).facts().domain_role(), pb::DomainRole::DomainJoined, "{files:?}");
    }
    let alone: [&[(&str, &str)]; 4] = [
        // A realm without keys of its own is a default that a package brought.
        &[krb5],
        &[("etc/sssd/sssd.conf", "[domain/x]\nid_provider = ldap\n")],
        &[("etc/sssd/sssd.conf", "# id_provider = ad\n")],
        &[("etc/samba/smb.conf", "[global]\nsecurity = user\n")],
    ];
    for files in alone {
        assert_eq!(Tree::of(files).facts().domain_role(), pb::DomainRole::Workgroup, "{files:?}");
    }
    let samba = Tree::of(&[("etc/samba/smb.conf", "server role = Active Directory Domain Controller\n")]);
    assert_eq!(samba.facts().domain_role(), pb::DomainRole::DomainController);
}

#[test]
fn an_mdm_is_told_when_all_it_needs_is_there() {
    let mdm = |files: &[&str]| {
        let files: Vec<_> = files.iter().map(|file| (*file, REGISTRATION)).collect();
        let mdm = Tree::of(&files).facts().mdm.unwrap();
        (mdm.provider(), mdm.name)
    };
    let intune = "opt/microsoft/intune/bin/intune-portal";
    let broker = "opt/microsoft/identity-broker/bin/microsoft-identity-broker";
    let registration = "home/alice/.config/intune/registration.toml";
    assert_eq!(mdm(&[intune, broker, registration]), (pb::MdmProvider::Intune, "Microsoft Intune".into()));
    // The broker alone signs users in, for a browser say.
    assert_eq!(mdm(&[broker, registration]).0, pb::MdmProvider::None);
    assert_eq!(mdm(&[intune, registration]).0, pb::MdmProvider::None);
    assert_eq!(mdm(&["opt/jc/bin/jumpcloud-agent"]), (pb::MdmProvider::Other, "JumpCloud".into()));
}

const INTUNE: [(&str, &str); 2] = [
    ("opt/microsoft/intune/bin/intune-portal", ""),
    ("opt/microsoft/identity-broker/bin/microsoft-identity-broker", ""),
];
const REGISTRATION: &str = "account_hint = \"5a\"\ndevice_hint = \"8c7d\"\naad_device_hint = \"9e\"\n";

/// The MDM of a machine with Intune's packages, and what was missed about it.
fn intune(tree: &Tree) -> (pb::MdmProvider, Vec<String>) {
    for (path, content) in INTUNE {
        tree.write(path, content.as_bytes());
    }
    let Survey { facts, mut gaps } = tree.survey();
    gaps.retain(|gap| gap.contains("Intune"));
    (facts.mdm.unwrap().provider(), gaps)
}

#[test]
fn intune_manages_where_a_user_enrolled_the_machine() {
    for home in ["home/alice", "root", "var/home/alice", "var/roothome"] {
        for file in [".config/intune/registration.toml", ".local/state/intune/registration.toml"] {
            let file = format!("{home}/{file}");
            let tree = Tree::of(&[("home/bob/.bashrc", ""), (&file, REGISTRATION)]);
            assert_eq!(intune(&tree), (pb::MdmProvider::Intune, vec![]), "{file}");
            for (path, _) in INTUNE {
                fs::remove_file(tree.place(path)).unwrap();
            }
            fs::remove_dir_all(tree.place("opt")).unwrap();
            assert_eq!(tree.facts().mdm.unwrap().provider(), pb::MdmProvider::None, "left behind: {file}");
        }
    }
}

#[test]
fn intune_without_an_enrolment_manages_nothing_and_that_is_told() {
    let told = "Microsoft Intune is installed, but no home has a registration: taken as not enrolled";
    let none = (pb::MdmProvider::None, vec![told.to_owned()]);
    assert_eq!(intune(&Tree::of(&[])), none);
    let file = "home/alice/.config/intune/registration.toml";
    let signed_in = "account_hint = '5a'\naad_device_hint = '9e'\n";
    for unfinished in ["", signed_in, "device_hint = ''\n", "#device_hint = 'x'", "device_hint"] {
        assert_eq!(intune(&Tree::of(&[(file, unfinished)])), none, "{unfinished}");
    }
    // Another MDM is found all the same.
    let tree = Tree::of(&[("opt/jc/bin/jumpcloud-agent", "")]);
    assert_eq!(intune(&tree).0, pb::MdmProvider::Other);
}

#[test]
fn a_link_in_a_home_is_not_followed() {
    let outside = Tree::of(&[("alice/.config/intune/registration.toml", REGISTRATION)]);
    for at in
        ["home", "home/alice", "home/alice/.config/intune", "home/alice/.config/intune/registration.toml"]
    {
        let tree = Tree::of(&[]);
        let target = format!("alice{}", at.strip_prefix("home/alice").unwrap_or_default());
        let target = if at == "home" { outside.place("") } else { outside.place(&target) };
        fs::create_dir_all(tree.place(at).parent().unwrap()).unwrap();
        symlink(target, tree.place(at)).unwrap();
        assert_eq!(intune(&tree).0, pb::MdmProvider::None, "{at}");
    }
    // The usual link inside a home does not hide what it leads to.
    let tree = Tree::of(&[("home/alice/.config/intune/registration.toml", REGISTRATION)]);
    fs::create_dir_all(tree.place("home/alice/.local/state/intune")).unwrap();
    let link = tree.place("home/alice/.local/state/intune/registration.toml");
    symlink("../../../.config/intune/registration.toml", link).unwrap();
    assert_eq!(intune(&tree).0, pb::MdmProvider::Intune);
}

#[test]
fn a_home_may_hold_anything() {
    let tree = Tree::of(&[("home/file", ""), ("home/bob/.config", ""), ("var/home", "")]);
    fs::create_dir_all(tree.place("home/eve/.config/intune/registration.toml")).unwrap();
    let pipe = tree.place("home/mallory/.config/intune/registration.toml");
    fs::create_dir_all(pipe.parent().unwrap()).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    tree.write("home/trent/.config/intune/registration.toml", &[0xff; 100_000]);
    let (provider, gaps) = intune(&tree);
    assert_eq!(provider, pb::MdmProvider::None);
    assert!(gaps[0].ends_with("not enrolled"), "{gaps:?}");
}

#[test]
fn homes_that_cannot_be_read_are_told() {
    let tree = Tree::of(&[("home/alice/.config/intune/registration.toml", REGISTRATION)]);
    fs::set_permissions(tree.place("home/alice"), fs::Permissions::from_mode(0o000)).unwrap();
    let (provider, gaps) = intune(&tree);
    // The superuser reads them all the same.
    if fs::read_dir(tree.place("home/alice")).is_err() {
        assert_eq!(provider, pb::MdmProvider::None);
        assert!(gaps[0].ends_with("not enrolled; 1 homes cannot be read"), "{gaps:?}");
    }
    fs::set_permissions(tree.place("home/alice"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(intune(&tree).0, pb::MdmProvider::Intune);
}

#[test]
fn no_more_homes_are_looked_into_than_may_be() {
    let tree = Tree::of(&[]);
    for n in 0..homes::HOMES_MAX {
        fs::create_dir_all(tree.place(&format!("home/user{n}"))).unwrap();
    }
    assert!(intune(&tree).1[0].ends_with("not enrolled"));
    fs::create_dir(tree.place("home/one-more")).unwrap();
    let (_, gaps) = intune(&tree);
    assert!(gaps[0].ends_with("not enrolled; only 1000 homes were looked into"), "{gaps:?}");
    // The superuser's home is looked into first.
    tree.write("root/.config/intune/registration.toml", REGISTRATION.as_bytes());
    assert_eq!(intune(&tree).0, pb::MdmProvider::Intune);
}

#[test]
fn a_cloud_defender_is_told_by_its_extension() {
    let through = |files: &[&str]| {
        let files: Vec<_> = files.iter().map(|file| (*file, "{}")).collect();
        Tree::of(&files).facts().onboarded_through_cloud_defender
    };
    let onboarded = "etc/opt/microsoft/mdatp/mdatp_onboard.json";
    let extension = "var/lib/waagent/Microsoft.Azure.AzureDefenderForServers.MDE.Linux-1.0.5.6/manifest.xml";
    assert_eq!(through(&[onboarded, extension]), Some(true));
    assert_eq!(through(&[onboarded]), Some(false), "onboarded by hand");
    assert_eq!(through(&[extension]), Some(false), "not onboarded");
}

#[test]
fn local_tags_are_the_groups_of_the_managed_configuration() {
    let tags = |json: &str| Tree::of(&[(crate::engines::mdatp::FILE, json)]).facts().device_tags;
    let json = r#"{"edr": {"tags": [{"key": "GROUP", "value": " web\u0007 "}, {"key": "other", "value": "x"},
        {"key": "group", "value": "db"}, {"key": "GROUP", "value": "web"}, {"key": "GROUP", "value": 7}]}}"#;
    assert_eq!(tags(json), ["db", "web"]);
    for nonsense in ["", "[]", "{", r#"{"edr": []}"#, r#"{"edr": {"tags": {"key": "GROUP"}}}"#] {
        assert_eq!(tags(nonsense), Vec::<String>::new(), "{nonsense}");
    }
    let many: Vec<_> =
        (0..99).map(|n| format!(r#"{{"key": "GROUP", "value": "{n}{}"}}"#, "ü".repeat(300))).collect();
    let kept = tags(&format!(r#"{{"edr": {{"tags": [{}]}}}}"#, many.join(",")));
    assert_eq!(kept.len(), 32);
    assert!(kept.iter().all(|tag| tag.chars().count() == 200));
}

/// Made by SQLite out of a database of rpm 4.18, in small pages so that little fills many: two packages that rpm installed
/// (`wazuh-agent`, then `mdatp`), and empty ones before and behind.
const RPMDB: &[u8] = include_bytes!("tests/rpmdb.sqlite");

/// Version of the sensor where rpm's database holds these bytes, and how many gaps there are about it.
fn by_rpm(tree: &Tree, database: &[u8]) -> (String, usize) {
    tree.write("opt/microsoft/mdatp/sbin/wdavdaemon", b"");
    tree.write("var/lib/rpm/rpmdb.sqlite", database);
    let Survey { facts, gaps } = tree.survey();
    let gaps = gaps.iter().filter(|gap| gap.contains("version of mdatp")).count();
    (facts.security_products[0].version.clone(), gaps)
}

#[test]
fn versions_are_those_of_rpm_where_dpkg_has_none() {
    let (known, unknown) = (("101.24092.0001".to_owned(), 0), (String::new(), 1));
    let tree = Tree::of(&[("var/ossec/bin/wazuh-agentd", "")]);
    assert_eq!(by_rpm(&tree, RPMDB), known);
    assert_eq!(tree.facts().security_products[1].version, "101.24092.0001", "the first row of many");
    tree.write("var/lib/dpkg/status", b"Package: mdatp\nVersion: 101.1\n");
    assert_eq!(by_rpm(&tree, RPMDB).0, "101.1");
    assert_eq!(by_rpm(&Tree::of(&[]), b""), unknown);
    // A change that is under way: what is in the file may be half of it.
    for suffix in ["-wal", "-journal"] {
        let tree = Tree::of(&[]);
        let beside = format!("var/lib/rpm/rpmdb.sqlite{suffix}");
        tree.write(&beside, b"pending");
        assert_eq!(by_rpm(&tree, RPMDB), unknown);
        tree.write(&beside, b"");
        assert_eq!(by_rpm(&tree, RPMDB), known);
    }
    let moved = Tree::of(&[("opt/microsoft/mdatp/sbin/wdavdaemon", "")]);
    moved.write("usr/lib/sysimage/rpm/rpmdb.sqlite", RPMDB);
    assert_eq!(moved.facts().security_products[0].version, known.0);
}

#[test]
fn a_broken_package_database_tells_no_version_and_does_no_harm() {
    let tree = Tree::of(&[]);
    let surveyed = |bytes: &[u8]| {
        tree.write("var/lib/rpm/rpmdb.sqlite", bytes);
        rpm::version(&Machine::at(tree.0.path()), "mdatp")
    };
    for length in (0..RPMDB.len()).step_by(97) {
        drop(surveyed(&RPMDB[..length]));
    }
    for at in 0..RPMDB.len() {
        for flip in [0xff, 0x01, 0x80] {
            // Every byte of the head and of the pages' heads, and some of the rest.
            if at < 512 || at % 512 < 16 || (at + usize::from(flip)) % 11 == 0 {
                let mut bytes = RPMDB.to_vec();
                bytes[at] ^= flip;
                drop(surveyed(&bytes));
            }
        }
    }
    // A tree whose every page leads to the first, for ever.
    let mut bytes = RPMDB.to_vec();
    bytes[100] = 5;
    bytes[108..112].copy_from_slice(&1_u32.to_be_bytes());
    assert_eq!(surveyed(&bytes), None);
    // A page whose many entries are all one row of the greatest length.
    let mut page = vec![0; 65_536];
    page[..16].copy_from_slice(b"SQLite format 3\0");
    page[17] = 1;
    page[100] = 13;
    page[103..105].copy_from_slice(&[0x40, 0]);
    for entry in page[108..108 + 2 * 0x4000].chunks_exact_mut(2) {
        entry.copy_from_slice(&0x9000_u16.to_be_bytes());
    }
    for length in [[0xff; 9], [0x81, 0x80, 0x00, 1, 0, 0, 0, 0, 0]] {
        page[0x9000..0x9009].copy_from_slice(&length);
        assert_eq!(surveyed(&page), None);
    }
}

/// What every survey must keep, whatever it found.
fn assert_in_bounds(facts: &pb::DeviceFacts) {
    let mut texts = vec![
        &facts.hostname,
        &facts.os_id,
        &facts.os_version,
        &facts.os_name,
        &facts.kernel_release,
        &facts.architecture,
        &facts.agent_version,
    ];
    texts.extend(facts.board_vendor.iter().chain(&facts.product_name));
    texts.extend(facts.mdm.iter().map(|mdm| &mdm.name));
    texts.extend(facts.security_products.iter().flat_map(|product| [&product.id, &product.version]));
    for text in texts {
        assert!(text.len() <= 255 && !text.chars().any(char::is_control), "{text:?}");
    }
    assert!(facts.device_tags.len() <= 32 && facts.hardware_keys.len() <= 8);
    assert_eq!(facts.hardware_digest.len(), 32);
    assert!(!facts.hostname.is_empty() && !facts.os_id.is_empty());
}

/// Every file that is looked at and holds text.
const FILES: [&str; 18] = [
    "etc/os-release",
    "usr/lib/os-release",
    "proc/sys/kernel/osrelease",
    "proc/sys/kernel/hostname",
    "proc/sys/kernel/random/boot_id",
    "etc/hostname",
    "etc/machine-id",
    "sys/class/dmi/id/board_vendor",
    "sys/class/dmi/id/product_name",
    "sys/class/dmi/id/product_uuid",
    "sys/class/dmi/id/product_serial",
    "sys/firmware/devicetree/base/serial-number",
    "var/lib/dpkg/status",
    "var/lib/rpm/rpmdb.sqlite",
    "etc/sssd/sssd.conf",
    "etc/samba/smb.conf",
    "etc/krb5.conf",
    "etc/opt/microsoft/mdatp/managed/mdatp_managed.json",
];

#[test]
fn hostile_files_make_facts_within_bounds() {
    let random: Vec<u8> = (0..200_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let long = "ü".repeat(600_000);
    let contents: [&[u8]; 7] = [
        &[b'h'; 1024 * 1024],
        long.as_bytes(),
        b"\x00\x01\x02\x1b[31mred\x7f\xc2\x85\xff\xfe",
        b"ID=\x00\x1b\nVERSION_ID=\"\nPRETTY_NAME='\r\n=\n==\n",
        b"Package: mdatp\nVersion: \x00\x07",
        b"\n\n\n   \t",
        &random,
    ];
    for content in contents {
        let tree = Tree::of(&[("opt/microsoft/mdatp/sbin/wdavdaemon", "")]);
        for file in FILES {
            tree.write(file, content);
        }
        assert_in_bounds(&tree.facts());
    }
}

#[test]
fn what_is_no_plain_file_is_passed_over() {
    let tree = Tree::of(&[]);
    for file in FILES {
        let path = tree.place(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(&path, &path).unwrap();
    }
    assert_in_bounds(&tree.facts());
    let tree = Tree::of(&[]);
    for file in FILES {
        fs::create_dir_all(tree.place(file)).unwrap();
    }
    assert_in_bounds(&tree.facts());
    let tree = Tree::of(&[]);
    for file in ["etc/machine-id", "etc/os-release", "etc/hostname"] {
        let path = tree.place(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
    }
    // Opening a pipe nobody writes to would wait for ever.
    assert_in_bounds(&tree.facts());
}

#[test]
fn what_may_not_be_read_is_absent() {
    let tree = Tree::of(MACHINE);
    for file in FILES {
        if let Ok(metadata) = fs::metadata(tree.place(file)) {
            let mut permissions = metadata.permissions();
            permissions.set_mode(0o000);
            fs::set_permissions(tree.place(file), permissions).unwrap();
        }
    }
    assert_in_bounds(&tree.facts());
}
