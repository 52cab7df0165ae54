//! Rules in the Common Expression Language (`x-kubernetes-validations`): compiled with the schema, asked of every object.
//!
//! A rule at a node of the schema is asked of each value there is of it. A rule that speaks of `oldSelf` is asked only
//! where there is a value to compare with: in fields, in maps, and in lists whose items have keys. All rules together
//! have one budget for an object; a rule that is broken as it was before does not stop an update.

mod cost;
mod definition;
mod values;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::cel::{self, Budget, COST_MAX, CompileError, EvaluateError, Program, Variables};
use crate::kinds::fields::Fields;
use crate::status::{FieldError, FieldPath};

pub(crate) use cost::validate_costs;
pub(crate) use definition::validate_rules;

/// Bytes of a message that an expression makes.
const MESSAGE_BYTES_MAX: usize = 5 * 1024;

/// The rules of a schema.
#[derive(Debug)]
pub(crate) struct Rules {
    root: Node,
    may_be_slow: bool,
}

/// A node of the schema that has rules, or below which there are some.
#[derive(Debug, Default)]
struct Node {
    rules: Vec<Rule>,
    properties: BTreeMap<String, Node>,
    additional: Option<Box<Node>>,
    items: Option<Box<Node>>,
    /// The keys of a list's items, when it has such.
    keys: Vec<String>,
    /// The node as the definition has it.
    schema: Value,
    is_resource: bool,
}

#[derive(Debug)]
struct Rule {
    source: String,
    program: Result<Program, CompileError>,
    message: String,
    message_expression: Option<Program>,
    reason: String,
    /// Dotted, below the node.
    field_path: String,
    /// `oldSelf` is an optional value, and the rule is asked of new values as well.
    optional_old: bool,
    uses_old: bool,
}

impl Rules {
    /// The rules of a schema, if it has any.
    pub(crate) fn compile(document: &Value) -> Option<Self> {
        let root = Node::new(document, true)?;
        let may_be_slow = root.may_be_slow();
        Some(Self { root, may_be_slow })
    }

    /// Whether asking them may take long with a large object.
    pub(crate) fn may_be_slow(&self) -> bool {
        self.may_be_slow
    }

    /// Which rules an object breaks.
    pub(crate) fn validate(&self, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let mut judge = Judge { budget: Budget::new(COST_MAX), errors: Vec::new(), ended: false };
        judge.node(&self.root, new, Before::root(new, old), &FieldPath::empty());
        judge.errors
    }
}

impl Node {
    fn new(schema: &Value, is_resource: bool) -> Option<Self> {
        let embedded = |schema: &Value| schema.is_true("x-kubernetes-embedded-resource");
        let inner = |schema: &Value| Self::new(schema, embedded(schema));
        let schema_at = |name: &str| schema.get(name).filter(|inner| inner.is_object());
        let properties = schema.map("properties").into_iter().flatten();
        let node = Self {
            rules: schema.list("x-kubernetes-validations").iter().map(Rule::new).collect(),
            properties: properties.filter_map(|(name, schema)| Some((name.clone(), inner(schema)?))).collect(),
            additional: schema_at("additionalProperties").and_then(inner).map(Box::new),
            items: schema_at("items").and_then(inner).map(Box::new),
            keys: schema.texts("x-kubernetes-list-map-keys").into_iter().map(str::to_owned).collect(),
            schema: Value::Null,
            is_resource,
        };
        let empty =
            node.rules.is_empty() && node.properties.is_empty() && node.additional.is_none() && node.items.is_none();
        (!empty).then(|| Self { schema: schema.clone(), ..node })
    }

    fn may_be_slow(&self) -> bool {
        let loops = |rule: &Rule| {
            [".all(", ".exists", ".map(", ".filter(", "matches("].iter().any(|word| rule.source.contains(word))
        };
        self.items.is_some()
            || self.additional.is_some()
            || self.rules.iter().any(loops)
            || self.properties.values().any(Self::may_be_slow)
    }
}

impl Rule {
    fn new(rule: &Value) -> Self {
        let source = rule.text("rule").to_owned();
        let program = Program::compile(&source);
        let message_expression = rule.text("messageExpression");
        Self {
            uses_old: program.as_ref().is_ok_and(|program| program.mentions("oldSelf")),
            program,
            message: rule.text("message").trim().to_owned(),
            message_expression: Program::compile(message_expression)
                .ok()
                .filter(|_| !message_expression.trim().is_empty()),
            reason: rule.text("reason").to_owned(),
            field_path: rule.text("fieldPath").trim_start_matches('.').to_owned(),
            optional_old: rule.is_true("optionalOldSelf"),
            source,
        }
    }

    /// The rule as people know it.
    fn shown(&self) -> &str {
        if self.message.is_empty() { self.source.trim() } else { &self.message }
    }
}

/// The state before an update, as far as a value of it belongs to the one at hand.
#[derive(Clone, Copy)]
struct Before<'v> {
    old: Option<&'v Value>,
    /// Whether this, or for lack of an old value what is around it, is as it was.
    unchanged: bool,
    correlated: bool,
}

impl<'v> Before<'v> {
    fn root(new: &Value, old: Option<&'v Value>) -> Self {
        Self { old, unchanged: old == Some(new), correlated: true }
    }

    fn to(self, new: &Value, old: Option<&'v Value>, correlated: bool) -> Self {
        let correlated = self.correlated && correlated;
        let old = old.filter(|_| correlated);
        let unchanged = if correlated { old == Some(new) } else { self.unchanged };
        Self { old, unchanged, correlated }
    }
}

/// Asks the rules of one object.
struct Judge {
    budget: Budget,
    errors: Vec<FieldError>,
    /// The budget is spent.
    ended: bool,
}

impl Judge {
    fn node(&mut self, node: &Node, value: &Value, before: Before<'_>, path: &FieldPath<'_>) {
        if value.is_null() || self.ended {
            return;
        }
        if !node.rules.is_empty() {
            self.rules(node, value, before, path);
        }
        match value {
            Value::Object(map) => {
                for (name, inner) in map {
                    let old = before.old.and_then(|old| old.get(name));
                    let before = before.to(inner, old, true);
                    if let Some(property) = node.properties.get(name) {
                        self.node(property, inner, before, &path.child(name));
                    } else if let Some(additional) = &node.additional {
                        self.node(additional, inner, before, &path.key(name));
                    }
                }
            }
            Value::Array(items) => {
                let Some(schema) = &node.items else { return };
                let old_items = before.old.and_then(Value::as_array);
                for (index, item) in items.iter().enumerate() {
                    let same = |other: &&Value| node.keys.iter().all(|key| other.get(key) == item.get(key));
                    let old = old_items.and_then(|old| old.iter().find(same)).filter(|_| !node.keys.is_empty());
                    self.node(schema, item, before.to(item, old, !node.keys.is_empty()), &path.index(index));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn rules(&mut self, node: &Node, value: &Value, before: Before<'_>, path: &FieldPath<'_>) {
        let value = if node.is_resource { visible(value) } else { value.clone() };
        let old = before.old.filter(|old| !old.is_null());
        let old = old.map(|old| if node.is_resource { visible(old) } else { old.clone() });
        let own = values::from_json(&value, &node.schema);
        let old_own = old.as_ref().map(|old| values::from_json(old, &node.schema));
        for rule in &node.rules {
            if self.ended {
                return;
            }
            if rule.uses_old && old_own.is_none() && !rule.optional_old {
                continue;
            }
            let old_value = match (rule.optional_old, old_own.clone()) {
                (true, Some(old)) => Some(cel::optional_of_some(old)),
                (true, None) => Some(cel::optional_of_none()),
                (false, old) => old,
            };
            let mut scope = Variables::default().with("self", own.clone());
            if let Some(old) = old_value {
                scope = scope.with("oldSelf", old);
            }
            self.rule(rule, node, &value, &scope, before, path);
        }
    }

    fn rule(
        &mut self,
        rule: &Rule,
        node: &Node,
        value: &Value,
        scope: &Variables,
        before: Before<'_>,
        path: &FieldPath<'_>,
    ) {
        let shown = type_of(&node.schema, value);
        let mut invalid = |detail: String| self.errors.push(FieldError::invalid(path, shown, detail));
        let program = match &rule.program {
            Ok(program) => program,
            Err(error) => return invalid(format!("rule compile error: {error}")),
        };
        let broken = match program.evaluate(scope, &mut self.budget) {
            Ok(cel::Value::Bool(true)) => return,
            Ok(_) => None,
            Err(error) => Some(error),
        };
        match broken {
            None => {}
            Some(error @ EvaluateError::Budget) => {
                self.ended = true;
                return invalid(error.to_string());
            }
            Some(error @ EvaluateError::CallLimit) => {
                self.ended = true;
                let text = format!(
                    "'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {}",
                    rule.shown()
                );
                return invalid(text);
            }
            Some(EvaluateError::Failed(error)) if error.starts_with("no such overload") => {
                let text = format!(
                    "'{error}': call arguments did not match a supported operator, function or macro signature for rule: {}",
                    rule.shown()
                );
                return invalid(text);
            }
            Some(EvaluateError::Failed(error)) => {
                return invalid(format!("{error} evaluating rule: {}", rule.shown()));
            }
        }
        // What was wrong before does not stop an update of something else.
        if !rule.uses_old && before.unchanged && before_is_update(before) {
            return;
        }
        let detail = self.message(rule, scope);
        let field = match (path.to_string().as_str(), rule.field_path.as_str()) {
            (path, "") => path.to_owned(),
            ("<nil>", below) => below.to_owned(),
            (path, below) => format!("{path}.{below}"),
        };
        self.errors.push(match rule.reason.as_str() {
            "FieldValueRequired" => FieldError::required(field, detail),
            "FieldValueForbidden" => FieldError::forbidden(field, detail),
            "FieldValueDuplicate" => FieldError::duplicate(field, shown).with_detail(detail),
            _ => FieldError::invalid(field, shown, detail),
        });
    }

    fn message(&mut self, rule: &Rule, scope: &Variables) -> String {
        let made = rule.message_expression.as_ref().map(|program| program.evaluate(scope, &mut self.budget));
        if let Some(Ok(cel::Value::String(text))) = made {
            let text = text.trim();
            if !text.is_empty() && text.len() <= MESSAGE_BYTES_MAX && !text.contains('\n') {
                return text.to_owned();
            }
        }
        if rule.message.is_empty() { format!("failed rule: {}", rule.source.trim()) } else { rule.message.clone() }
    }
}

fn before_is_update(before: Before<'_>) -> bool {
    before.old.is_some() || !before.correlated
}

/// What rules see of a resource: of the metadata the names only.
fn visible(object: &Value) -> Value {
    let mut fields: Map<String, Value> = object.as_object().cloned().unwrap_or_default();
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        metadata.retain(|name, _| matches!(name.as_str(), "name" | "generateName"));
    }
    Value::Object(fields)
}

/// The type of the value that a rule is about, which stands for the value in the message.
fn type_of(schema: &Value, value: &Value) -> &'static str {
    match schema.text("type") {
        "boolean" => "boolean",
        "integer" => "integer",
        "number" => "number",
        "string" => "string",
        "array" => "array",
        "object" => "object",
        _ => match value {
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            _ => "object",
        },
    }
}
