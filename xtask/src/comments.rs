//! What the contract's comments say of events, as Rust: `crates/proto/src/gen/comments.rs`.

use std::collections::{BTreeMap, BTreeSet};

use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};

/// Numbers of the parts of a file, a message and an enum in `descriptor.proto`: a comment is found by them.
const MESSAGE: i32 = 4;
const ENUM: i32 = 5;
const FIELD: i32 = 2;
const VALUE: i32 = 2;

/// The table of comments of the events' messages and of everything they are made of, sorted by name.
pub(crate) fn table(contract: &FileDescriptorSet) -> String {
    let mut types = Types::default();
    for file in &contract.file {
        types.add(file);
    }
    let mut wanted = BTreeSet::new();
    for file in contract.file.iter().filter(|file| file.name().ends_with("/events.proto")) {
        for message in &file.message_type {
            types.reach(&format!("{}.{}", file.package(), message.name()), &mut wanted);
        }
        for kind in &file.enum_type {
            wanted.insert(format!("{}.{}", file.package(), kind.name()));
        }
    }
    let comments = types.comments.iter().filter(|(name, _)| {
        wanted.contains(*name) || name.rsplit_once('.').is_some_and(|(of, _)| wanted.contains(of))
    });
    let rows: String = comments.map(|(name, comment)| format!("    ({name:?}, {comment:?}),\n")).collect();
    format!(
        "/// Comments of the contract, by full name.\n#[rustfmt::skip]\nconst COMMENTS: &[(&str, &str)] = &[\n{rows}];\n"
    )
}

/// The types of the contract by full name: the types they are made of, and the comments.
#[derive(Default)]
struct Types {
    made_of: BTreeMap<String, Vec<String>>,
    comments: BTreeMap<String, String>,
}

impl Types {
    fn add(&mut self, file: &FileDescriptorProto) {
        if !file.package().starts_with("muster.") {
            return;
        }
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        let comments = locations
            .map(|location| (&location.path[..], one_line(location.leading_comments())))
            .filter(|(_, comment)| !comment.is_empty())
            .collect();
        for (message, index) in file.message_type.iter().zip(0..) {
            self.add_message(file.package(), message, &[MESSAGE, index], &comments);
        }
        for (kind, index) in file.enum_type.iter().zip(0..) {
            self.add_enum(file.package(), kind, &[ENUM, index], &comments);
        }
    }

    fn add_message(
        &mut self,
        package: &str,
        message: &DescriptorProto,
        path: &[i32],
        comments: &BTreeMap<&[i32], String>,
    ) {
        let name = format!("{package}.{}", message.name());
        self.add_comment(&name, path, comments);
        for (field, index) in message.field.iter().zip(0..) {
            let field_path = [path, &[FIELD, index]].concat();
            self.add_comment(&format!("{name}.{}", field.name()), &field_path, comments);
        }
        let made_of = message.field.iter().map(|field| field.type_name().trim_start_matches('.').to_owned());
        self.made_of.insert(name, made_of.filter(|name| !name.is_empty()).collect());
    }

    fn add_enum(
        &mut self,
        package: &str,
        kind: &EnumDescriptorProto,
        path: &[i32],
        comments: &BTreeMap<&[i32], String>,
    ) {
        let name = format!("{package}.{}", kind.name());
        self.add_comment(&name, path, comments);
        for (value, index) in kind.value.iter().zip(0..) {
            self.add_comment(
                &format!("{name}.{}", value.name()),
                &[path, &[VALUE, index]].concat(),
                comments,
            );
        }
        self.made_of.insert(name, Vec::new());
    }

    fn add_comment(&mut self, name: &str, path: &[i32], comments: &BTreeMap<&[i32], String>) {
        if let Some(comment) = comments.get(path) {
            self.comments.insert(name.to_owned(), comment.clone());
        }
    }

    fn reach(&self, name: &str, reached: &mut BTreeSet<String>) {
        if reached.insert(name.to_owned()) {
            for part in self.made_of.get(name).into_iter().flatten() {
                self.reach(part, reached);
            }
        }
    }
}

/// A comment with its lines joined; paragraphs stay apart.
fn one_line(comment: &str) -> String {
    let paragraphs = comment.split("\n\n").map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
}
