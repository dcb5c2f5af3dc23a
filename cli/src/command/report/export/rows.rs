//! Rows as bytes.

use muster_proto::convert::moment;
use muster_proto::report::v1::PolicyDevice;

use super::columns::Cell;
use super::{Columns, Form};

/// What all rows have in common.
#[derive(Debug, Clone)]
pub struct Header {
    /// Resource name of the policy.
    pub policy: String,
    /// Its name for people.
    pub display_name: String,
    /// Id of its profile in the catalogue.
    pub profile: String,
    /// Its latest revision.
    pub revision: u64,
    /// Positions of the logs that all rows are at.
    pub position: String,
}

/// Turns devices into rows. Holds the rows of one message at a time.
#[derive(Debug)]
pub struct Rows {
    form: Form,
    columns: Columns,
    header: Header,
    bytes: Vec<u8>,
}

impl Rows {
    /// Rows of one export.
    #[must_use]
    pub const fn new(form: Form, columns: Columns, header: Header) -> Self {
        Self { form, columns, header, bytes: Vec::new() }
    }

    /// Positions of the logs that all rows are at.
    #[must_use]
    pub fn position(&self) -> &str {
        &self.header.position
    }

    /// What stands before the rows.
    pub fn heading(&mut self) -> &[u8] {
        self.bytes.clear();
        if self.form == Form::Csv {
            for (at, (name, _)) in self.columns.all().iter().enumerate() {
                separate(&mut self.bytes, at);
                self.bytes.extend_from_slice(name.as_bytes());
            }
            self.bytes.extend_from_slice(b"\r\n");
        }
        &self.bytes
    }

    /// A row for each device.
    pub fn encode(&mut self, devices: &[PolicyDevice]) -> &[u8] {
        self.bytes.clear();
        for device in devices {
            match self.form {
                Form::Csv => self.csv(device),
                Form::Ndjson => self.ndjson(device),
            }
        }
        &self.bytes
    }

    fn csv(&mut self, device: &PolicyDevice) {
        for (at, (_, cell)) in self.columns.all().iter().enumerate() {
            separate(&mut self.bytes, at);
            match cell(&self.header, device) {
                Cell::Text(text) => csv_text(&mut self.bytes, &text),
                Cell::Number(number) => self.bytes.extend_from_slice(number.to_string().as_bytes()),
                Cell::Flag(flag) => self.bytes.extend_from_slice(if flag { b"true" } else { b"false" }),
                Cell::Time(None) => {}
                Cell::Time(Some(time)) => self.bytes.extend_from_slice(moment(time).to_string().as_bytes()),
            }
        }
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn ndjson(&mut self, device: &PolicyDevice) {
        for (at, (name, cell)) in self.columns.all().iter().enumerate() {
            self.bytes.push(if at == 0 { b'{' } else { b',' });
            json_text(&mut self.bytes, name);
            self.bytes.push(b':');
            match cell(&self.header, device) {
                Cell::Text(text) => json_text(&mut self.bytes, &text),
                Cell::Number(number) => self.bytes.extend_from_slice(number.to_string().as_bytes()),
                Cell::Flag(flag) => self.bytes.extend_from_slice(if flag { b"true" } else { b"false" }),
                Cell::Time(None) => self.bytes.extend_from_slice(b"null"),
                Cell::Time(Some(time)) => json_text(&mut self.bytes, &moment(time).to_string()),
            }
        }
        self.bytes.extend_from_slice(b"}\n");
    }
}

fn separate(bytes: &mut Vec<u8>, at: usize) {
    if at > 0 {
        bytes.push(b',');
    }
}

fn json_text(bytes: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(bytes, text).expect("a text can be written to memory");
}

/// Beginnings that a spreadsheet takes for a formula. Devices name themselves, and who opens an export is an admin.
const FORMULA: &[char] = &['=', '+', '-', '@', '\t', '\r'];

/// A cell as RFC 4180 has it. What would be a formula is made a text by an apostrophe.
fn csv_text(bytes: &mut Vec<u8>, text: &str) {
    let quoted = text.contains(['"', ',', '\r', '\n']);
    if quoted {
        bytes.push(b'"');
    }
    if text.starts_with(FORMULA) {
        bytes.push(b'\'');
    }
    for byte in text.bytes() {
        if byte == b'"' {
            bytes.push(b'"');
        }
        bytes.push(byte);
    }
    if quoted {
        bytes.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::report::v1::{CheckInStatus, DeviceState};

    use super::*;

    fn header() -> Header {
        Header {
            policy: "tenants/default/policies/p1".into(),
            display_name: "Linux, baseline".into(),
            profile: "linux-antivirus".into(),
            revision: 3,
            position: "enroll:1,report:4".into(),
        }
    }

    fn device() -> PolicyDevice {
        PolicyDevice {
            device: "tenants/default/devices/d1".into(),
            host_name: "=cmd|' /C calc'!A0".into(),
            status: CheckInStatus::NotApplicable.into(),
            state: DeviceState::Waived.into(),
            reason: "SETTING_WAIVED".into(),
            report_time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
            manufacturer: "ACME \"Ltd\"".into(),
            platform: "linux".into(),
            ..PolicyDevice::default()
        }
    }

    fn written(form: Form, columns: Columns) -> String {
        let mut rows = Rows::new(form, columns, header());
        let mut text = rows.heading().to_vec();
        text.extend_from_slice(rows.encode(&[device()]));
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn columns_of_a_csv_have_documented_names_and_no_formulas() {
        assert_eq!(
            written(Form::Csv, Columns::Muster),
            "device_id,host_name,status,state,reason,stale,desired_time,report_time,last_seen_time,platform,os_version,\
             manufacturer,model,policy_id,policy_name,policy_revision,position\r\n\
             d1,'=cmd|' /C calc'!A0,not_applicable,waived,SETTING_WAIVED,false,,1970-01-01T00:00:01.000000Z,,linux,,\
             \"ACME \"\"Ltd\"\"\",,p1,\"Linux, baseline\",3,\"enroll:1,report:4\"\r\n"
        );
    }

    #[test]
    fn the_compatibility_set_has_the_names_and_words_of_the_original() {
        assert_eq!(
            written(Form::Csv, Columns::Intune),
            "AssignmentFilterIds,DeviceName,IntuneDeviceId,Manufacturer,Model,PolicyId,PolicyName,PolicyStatus,\
             PspdpuLastModifiedTimeUtc,ReportStatus,TemplateVersion,UnifiedPolicyPlatformType,UnifiedPolicyType,UPN\r\n\
             ,'=cmd|' /C calc'!A0,d1,\"ACME \"\"Ltd\"\"\",,p1,\"Linux, baseline\",1,1970-01-01T00:00:01.000000Z,\
             Not applicable,3,Linux,Microsoft Defender Antivirus,\r\n"
        );
    }

    #[test]
    fn a_line_of_ndjson_is_an_object_with_what_the_device_is_called() {
        let text = written(Form::Ndjson, Columns::Muster);
        let row: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(row["host_name"], "=cmd|' /C calc'!A0");
        assert_eq!((&row["desired_time"], &row["policy_revision"]), (&serde_json::Value::Null, &3.into()));
        assert_eq!(text.lines().count(), 1);
    }
}
