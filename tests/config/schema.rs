//! As much of JSON Schema as the schema of the file needs, and TOML as JSON: what an editor complains about.

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

/// A file as an editor hands it to its validator.
pub(crate) fn json(text: &str) -> Value {
    table(DeTable::parse(text).unwrap().get_ref())
}

fn table(table: &DeTable<'_>) -> Value {
    let member = |(name, item): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let name: &std::borrow::Cow<'_, str> = name.get_ref();
        (name.to_string(), value(item.get_ref()))
    };
    Value::Object(table.iter().map(member).collect::<Map<_, _>>())
}

fn value(item: &DeValue<'_>) -> Value {
    match item {
        DeValue::String(text) => Value::from(text.to_string()),
        DeValue::Integer(number) => {
            Value::from(i64::from_str_radix(number.as_str(), number.radix()).unwrap())
        }
        DeValue::Float(number) => Value::from(number.as_str().parse::<f64>().unwrap()),
        DeValue::Boolean(is) => Value::from(*is),
        DeValue::Datetime(moment) => Value::from(moment.to_string()),
        DeValue::Array(items) => items.iter().map(|item| value(item.get_ref())).collect(),
        DeValue::Table(inner) => table(inner),
    }
}

/// What is wrong with `value`, each with its path.
pub(crate) fn complaints(schema: &Value, value: &Value) -> Vec<String> {
    let mut complaints = Vec::new();
    validate(schema, value, &mut Vec::new(), &mut complaints);
    complaints
}

fn validate(schema: &Value, value: &Value, path: &mut Vec<String>, complaints: &mut Vec<String>) {
    let mut complain = |what: &str| complaints.push(format!("{}: {what}", path.join(".")));
    if let Some(kind) = schema["type"].as_str() {
        let fits = match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            other => panic!("an unknown type: {other}"),
        };
        if !fits {
            return complain(&format!("not a {kind}"));
        }
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        complain("none of the words");
    }
    if schema["pattern"].is_string() && !value.as_str().is_some_and(|text| text.contains("{env:")) {
        complain("no variable");
    }
    let bound = |name: &str| schema[name].as_f64();
    let is_within = |number: f64| {
        bound("minimum").is_none_or(|min| number >= min) && bound("maximum").is_none_or(|max| number <= max)
    };
    if !value.as_f64().is_none_or(is_within) {
        complain("out of bounds");
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            complain(&format!("`{}` is missing", name.as_str().unwrap()));
        }
    }
    if let Some(pattern) = schema["propertyNames"]["pattern"].as_str() {
        let pattern = regex::Regex::new(pattern).unwrap();
        for name in value.as_object().into_iter().flatten().map(|(name, _)| name) {
            if !pattern.is_match(name) {
                complaints.push(format!("{}.{name}: not such a name", path.join(".")));
            }
        }
    }
    if let Some(alternatives) = schema["anyOf"].as_array() {
        nearest_alternative(alternatives, value, path, complaints);
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        path.push(name.clone());
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => complaints.push(format!("{}: unknown", path.join("."))),
            (Value::Null, others) => validate(others, member, path, complaints),
            (property, _) => validate(property, member, path, complaints),
        }
        path.pop();
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        path.push(index.to_string());
        validate(&schema["items"], item, path, complaints);
        path.pop();
    }
}

/// Of several alternatives, the complaints of the one of this type, if there is one alone.
fn nearest_alternative(
    alternatives: &[Value],
    value: &Value,
    path: &mut Vec<String>,
    complaints: &mut Vec<String>,
) {
    let mut tried: Vec<Vec<String>> = Vec::new();
    for alternative in alternatives {
        let mut found = Vec::new();
        validate(alternative, value, path, &mut found);
        if found.is_empty() {
            return;
        }
        tried.push(found);
    }
    let of_type = alternatives
        .iter()
        .zip(tried)
        .find(|(alternative, _)| alternative["type"] == "object" && value.is_object());
    match of_type {
        Some((_, found)) => complaints.extend(found),
        None => complaints.push(format!("{}: no alternative", path.join("."))),
    }
}
