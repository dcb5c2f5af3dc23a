//! The table of the original's language, and what the language refuses.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Table {
    rules: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    rule: String,
    #[serde(default)]
    cases: Vec<Case>,
    #[serde(default)]
    error_kind: Option<String>,
}

#[derive(Deserialize)]
struct Case {
    device: BTreeMap<String, Told>,
    expect: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Bool(bool),
    Text(Box<str>),
    Collection(Vec<Box<str>>),
}

fn named(name: &str) -> Property {
    Property::named(name).unwrap_or_else(|| panic!("{name} is no property"))
}

fn device(attributes: &[(&str, &str)]) -> Described {
    let mut device = Described::default();
    for (name, text) in attributes {
        device.tell(named(name), Attribute::Text((*text).into()));
    }
    device
}

fn described(attributes: BTreeMap<String, Told>) -> Described {
    let mut device = Described::default();
    for (name, told) in attributes {
        let attribute = match told {
            Told::Bool(value) => Attribute::Bool(value),
            Told::Text(text) => Attribute::Text(text),
            Told::Collection(items) => Attribute::Collection(items.into()),
        };
        device.tell(named(&name), attribute);
    }
    device
}

fn table() -> Table {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rules.yaml");
    let text = std::fs::read_to_string(path).expect("the table is in the repository");
    serde_saphyr::from_str(&text).expect("the table is YAML of this form")
}

#[test]
fn every_row_of_the_table_holds() {
    let table = table();
    let mut cases = 0;
    let rules = table.rules.len();
    for Row { id, rule, cases: of_row, error_kind } in table.rules {
        let parsed = Rule::parse(&rule);
        if let Some(kind) = error_kind {
            let error = parsed.expect_err(&id);
            assert_eq!(error.kind.as_str(), kind, "{id}: {error}");
            cases += 1;
            continue;
        }
        let rule = parsed.unwrap_or_else(|error| panic!("{id}: {error}"));
        for (number, case) in of_row.into_iter().enumerate() {
            let device = described(case.device);
            assert_eq!(rule.says_of(&device), case.expect.into(), "{id}, case {number}: {}", rule.text());
            cases += 1;
        }
    }
    assert_eq!((rules, cases), (67, 128));
}

#[test]
fn what_is_not_collected_is_not_guessed() {
    let mut unknown = device(&[("deviceOSType", "Linux")]);
    unknown.tell(named("displayName"), Attribute::Unknown);
    let says = |rule: &str| Rule::parse(rule).map(|rule| rule.says_of(&unknown));
    assert_eq!(says(r#"device.displayName -eq "x""#), Ok(Truth::Unknown));
    assert_eq!(says(r#"device.displayName -ne "x""#), Ok(Truth::Unknown));
    assert_eq!(says("device.displayName -eq null"), Ok(Truth::Unknown));
    assert_eq!(says(r#"device.displayName -eq "x" -or device.deviceOSType -eq "linux""#), Ok(Truth::True));
    assert_eq!(says(r#"device.displayName -eq "x" -and device.deviceOSType -eq "macOS""#), Ok(Truth::False));
    assert_eq!(says(r#"-not (device.displayName -eq "x")"#), Ok(Truth::Unknown));
}

#[test]
fn a_negative_operator_in_a_quantifier_is_about_each_item() {
    let mut tagged = Described::default();
    tagged.tell(named("tags"), Attribute::Collection(Box::new(["web".into(), "old".into()])));
    let says = |rule: &str, of: &Described| Rule::parse(rule).map(|rule| rule.says_of(of));
    for (rule, of_two, of_none) in [
        (r#"device.tags -any (_ -ne "web")"#, true, false),
        (r#"device.tags -all (_ -ne "web")"#, false, true),
        (r#"device.tags -all (_ -notContains "x")"#, true, true),
        (r#"device.tags -any (_ -notIn ["web","old"])"#, false, false),
    ] {
        assert_eq!(says(rule, &tagged), Ok(of_two.into()), "{rule}");
        assert_eq!(says(rule, &Described::default()), Ok(of_none.into()), "{rule}");
    }
}

#[test]
fn mistakes_point_at_their_place() {
    let mistake = |rule: &str| Rule::parse(rule).expect_err(rule);
    let error = mistake(r#"device.deviceOsTyp -eq "Linux""#);
    assert_eq!((error.kind, error.offset, error.length), (ErrorKind::UnknownProperty, 0, 18));
    assert_eq!(error.hint.as_deref(), Some("did you mean deviceOSType?"));
    let error = mistake(r#"(device.displayName -eq "ä") -and device.deviceOSType -like "x""#);
    assert_eq!((error.kind, error.offset, error.length), (ErrorKind::Syntax, 54, 5));
    let error = mistake(r#"device.displayName -eq "open"#);
    assert_eq!((error.kind, error.offset, error.length), (ErrorKind::Syntax, 23, 5));
    let error = mistake(r#"(device.displayName -eq "x""#);
    assert_eq!((error.offset, error.length), (0, 1));
    assert_eq!(mistake("device.displayName -eq").offset, 22);
    assert_eq!(mistake("device.displayName -eq Linux").hint.as_deref(), Some("put texts in double quotes"));
}

#[test]
fn hostile_rules_are_refused_in_bounds() {
    let kind = |rule: &str| Rule::parse(rule).map(|_| ()).map_err(|error| error.kind);
    let fits = format!("device.displayName -eq \"{}\"", "a".repeat(RULE_CHARS_MAX - 25));
    assert_eq!((fits.chars().count(), kind(&fits)), (RULE_CHARS_MAX, Ok(())));
    assert_eq!(kind(&format!("{fits} ")), Err(ErrorKind::TooLong));
    assert_eq!(kind(&"(".repeat(10_000)), Err(ErrorKind::TooLong));
    assert_eq!(kind(&"(".repeat(3_000)), Err(ErrorKind::Syntax));
    assert_eq!(kind(&"-not ".repeat(600)), Err(ErrorKind::Syntax));
    assert_eq!(kind("device.displayName -match \"(a{1000}){1000}\""), Err(ErrorKind::Syntax));
    assert_eq!(kind("device.displayName -match \"(a*)*b\""), Ok(()), "linear however it is written");
    assert_eq!(kind("device.displayName\u{0} -eq \"x\""), Err(ErrorKind::Syntax));
    assert_eq!(kind("device.displayName -match \"(?=x)\""), Err(ErrorKind::Syntax));
    let many = vec!["'g'"; SOURCE_GROUPS_MAX + 1].join(",");
    let many = format!("device.memberOf -any (group.objectId -in [{many}])");
    assert_eq!(kind(&many), Err(ErrorKind::OperatorType));
}

#[test]
fn an_explanation_has_the_verdict_of_each_part() {
    let rule =
        Rule::parse(r#"(device.deviceOSType -eq "Linux") -and -not (device.displayName -contains "sql")"#);
    let explained =
        rule.map(|rule| rule.explain(&device(&[("deviceOSType", "linux"), ("displayName", "SQL-1")])));
    let lines: Vec<_> = explained.into_iter().flatten().map(|it| (it.depth, it.result)).collect();
    assert_eq!(lines, [(0, Truth::False), (1, Truth::True), (1, Truth::False), (2, Truth::True)]);
}

proptest! {
    #[test]
    fn no_text_breaks_the_parser(text in "[ -~äß\\-\"'`()\\[\\],_$]{0,200}") {
        if let Err(error) = Rule::parse(&text) {
            prop_assert!(error.offset + error.length <= text.chars().count());
        }
    }

    #[test]
    fn no_words_break_the_parser(words in proptest::collection::vec(
        prop::sample::select(vec!["device.displayName", "device.tags", "-eq", "ne", "-any", "_", "(", ")", "-and",
            "-or", "-not", "\"a\"", "'b'", "[", "]", ",", "null", "true", "-in", "-match", "user.x", "device.memberOf"]),
        0..40)) {
        let text = words.join(" ");
        if let Err(error) = Rule::parse(&text) {
            prop_assert!(error.offset + error.length <= text.chars().count());
        }
    }
}
