//! What the rules of a schema cost at most, before there is any object, by the sizes that the schema allows.
//!
//! Upstream refuses a definition whose rules could be too expensive. The estimate here is a floor under upstream's: it
//! counts loops, comparisons and searches by the largest lists, maps and texts, and everything else as one step, so that
//! what is refused here is refused there as well.

use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, operators};
use kube_cel::cel::parser::Expression;
use serde_json::Value;

use crate::cel::Program;
use crate::kinds::fields::Fields;
use crate::status::{FieldError, FieldPath};

/// What one rule may cost, by its estimate.
const RULE_COST_MAX: u64 = 10_000_000;
/// What all rules of a schema may cost together.
const SCHEMA_COST_MAX: u64 = 100_000_000;
/// Bytes of a request, which bound what has no bound of its own.
const REQUEST_BYTES_MAX: u64 = 3 * 1024 * 1024;
/// Nested lists and loops that are looked at.
const DEPTH_MAX: usize = 64;

/// Adds a complaint for each rule that could be too expensive, and one for all of them together.
pub(crate) fn validate_costs(schema: &Value, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
    let mut total = 0;
    node(schema, path, Some(1), &mut total, errors, 0);
    if total > SCHEMA_COST_MAX {
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        errors.push(FieldError::forbidden(path, exceeded(what, total, SCHEMA_COST_MAX)));
    }
}

/// `times` is how often there can be a value of the node in an object; `None` where only the request bounds that.
fn node(
    schema: &Value,
    path: &FieldPath<'_>,
    times: Option<u64>,
    total: &mut u64,
    errors: &mut Vec<FieldError>,
    depth: usize,
) {
    if depth > DEPTH_MAX {
        return;
    }
    let rules = path.child("x-kubernetes-validations");
    let most = REQUEST_BYTES_MAX / (smallest(schema, 0) + 1);
    for (index, rule) in schema.list("x-kubernetes-validations").iter().enumerate() {
        for (field, what) in
            [("rule", "estimated rule cost"), ("messageExpression", "estimated messageExpression cost")]
        {
            let Some(one) = estimate(rule.text(field), schema) else { continue };
            let cost = one.saturating_mul(times.unwrap_or(most).min(most).max(1));
            if cost > RULE_COST_MAX {
                let at = rules.index(index);
                errors.push(FieldError::forbidden(at.child(field), exceeded(what, cost, RULE_COST_MAX)));
            }
            *total = total.saturating_add(cost);
        }
    }
    let properties = path.child("properties");
    for (name, property) in schema.map("properties").into_iter().flatten() {
        node(property, &properties.key(name), times, total, errors, depth + 1);
    }
    for (word, bound) in [("items", "maxItems"), ("additionalProperties", "maxProperties")] {
        if let Some(inner) = schema.get(word).filter(|inner| inner.is_object()) {
            let bound = schema.get(bound).and_then(Value::as_u64);
            let times = times.zip(bound).map(|(times, bound)| times.saturating_mul(bound));
            node(inner, &path.child(word), times, total, errors, depth + 1);
        }
    }
}

fn exceeded(what: &str, cost: u64, limit: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "the factor is for people")]
    let factor = cost as f64 / limit as f64;
    let factor = if factor > 100.0 {
        "more than 100x".to_owned()
    } else if factor < 1.5 {
        format!("{factor:.6}x")
    } else {
        format!("{factor:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
}

/// Bytes of the smallest value of a schema.
fn smallest(schema: &Value, depth: usize) -> u64 {
    if depth > DEPTH_MAX {
        return 0;
    }
    match schema.text("type") {
        "object" => {
            let required = schema.texts("required");
            let properties = schema.map("properties").into_iter().flatten();
            let needed =
                properties.filter(|(name, property)| required.contains(&name.as_str()) && !property.has("default"));
            needed.fold(2, |size, (name, property)| {
                let name = u64::try_from(name.len()).unwrap_or(0);
                size.saturating_add(name + 4).saturating_add(smallest(property, depth + 1))
            })
        }
        "array" | "string" => 2,
        "boolean" => 4,
        _ => 1,
    }
}

/// How large a value of a schema can be.
fn largest(schema: &Value) -> u64 {
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
    let default = |inner: Option<&Value>| {
        let inner = inner.filter(|inner| inner.is_object());
        REQUEST_BYTES_MAX / (inner.map_or(1, |inner| smallest(inner, 0)) + 1)
    };
    match schema.text("type") {
        "array" => bound("maxItems").unwrap_or_else(|| default(schema.get("items"))),
        "object" if schema.has("additionalProperties") => {
            bound("maxProperties").unwrap_or_else(|| default(schema.get("additionalProperties")))
        }
        "string" => match (bound("maxLength"), schema.get("enum").and_then(Value::as_array)) {
            (_, Some(values)) => {
                let lengths = values.iter().filter_map(Value::as_str).map(str::len);
                lengths.max().and_then(|length| u64::try_from(length).ok()).unwrap_or(1)
            }
            (Some(length), None) => length,
            (None, None) if matches!(schema.text("format"), "date-time" | "date" | "duration") => 1,
            (None, None) => REQUEST_BYTES_MAX,
        },
        _ => 1,
    }
}

/// What an expression costs at most; `None` for one that cannot be read.
fn estimate(source: &str, schema: &Value) -> Option<u64> {
    if source.trim().is_empty() {
        return None;
    }
    let program = Program::compile(source).ok()?;
    let mut estimator = Estimator { locals: vec![("self", Part::of(schema)), ("oldSelf", Part::of(schema))], depth: 0 };
    Some(estimator.cost(program.expression()).0)
}

/// What is known of a value: its schema and its largest size.
#[derive(Clone, Copy)]
struct Part<'s> {
    schema: Option<&'s Value>,
    size: u64,
}

impl<'s> Part<'s> {
    const UNKNOWN: Self = Self { schema: None, size: 1 };

    fn of(schema: &'s Value) -> Self {
        Self { schema: Some(schema), size: largest(schema) }
    }

    fn field(self, name: &str) -> Self {
        let Some(schema) = self.schema else { return Self::UNKNOWN };
        let properties = schema.map("properties").into_iter().flatten();
        let mut named = properties.filter(|(known, _)| crate::cel::escape(known).as_deref() == Some(name));
        named.next().map(|(_, property)| Self::of(property)).unwrap_or_else(|| self.value())
    }

    /// Of the items of a list, or the values of a map.
    fn value(self) -> Self {
        let inner =
            self.schema.and_then(|schema| schema.child("items").or_else(|| schema.child("additionalProperties")));
        inner.filter(|inner| inner.is_object()).map_or(Self::UNKNOWN, Self::of)
    }

    /// Of what a loop goes through: the items of a list, or the keys of a map.
    fn item(self) -> Self {
        if self.schema.is_some_and(|schema| schema.has("items")) { self.value() } else { Self::UNKNOWN }
    }
}

struct Estimator<'e> {
    locals: Vec<(&'e str, Part<'e>)>,
    depth: usize,
}

impl<'e> Estimator<'e> {
    fn cost(&mut self, expression: &'e Expression) -> (u64, Part<'e>) {
        if self.depth > DEPTH_MAX {
            return (1, Part::UNKNOWN);
        }
        self.depth += 1;
        let result = match &expression.expr {
            Expr::Literal(LiteralValue::String(text)) => {
                (0, Part { schema: None, size: u64::try_from(text.inner().len()).unwrap_or(1) })
            }
            Expr::Literal(_) | Expr::Unspecified => (0, Part::UNKNOWN),
            Expr::Ident(name) => {
                let known = self.locals.iter().rev().find(|(known, _)| known == name);
                (1, known.map_or(Part::UNKNOWN, |(_, part)| *part))
            }
            Expr::Select(select) => {
                let (cost, holder) = self.cost(&select.operand);
                let part = if select.test { Part::UNKNOWN } else { holder.field(&select.field) };
                (cost.saturating_add(1), part)
            }
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let size = u64::try_from(list.elements.len()).unwrap_or(1);
                (self.sum(&list.elements).saturating_add(10), Part { schema: None, size })
            }
            Expr::Comprehension(loop_) => self.comprehension(loop_),
            Expr::Map(_) | Expr::Struct(_) => (30, Part::UNKNOWN),
        };
        self.depth -= 1;
        result
    }

    fn sum(&mut self, expressions: &'e [Expression]) -> u64 {
        expressions.iter().fold(0, |sum, expression| sum.saturating_add(self.cost(expression).0))
    }

    fn call(&mut self, call: &'e CallExpr) -> (u64, Part<'e>) {
        let (mut cost, target) = match &call.target {
            Some(target) => self.cost(target),
            None => (0, Part::UNKNOWN),
        };
        let mut parts = Vec::with_capacity(call.args.len() + 1);
        parts.extend(call.target.is_some().then_some(target));
        let mut costs = Vec::with_capacity(call.args.len());
        for argument in &call.args {
            let (one, part) = self.cost(argument);
            costs.push(one);
            parts.push(part);
        }
        let tenth = |part: Option<&Part<'_>>| part.map_or(1, |part| part.size.div_ceil(10)).max(1);
        let own = match call.func_name.as_str() {
            operators::CONDITIONAL => {
                let branches = costs.iter().skip(1).copied().max().unwrap_or(0);
                return (costs.first().copied().unwrap_or(0).saturating_add(branches), Part::UNKNOWN);
            }
            operators::LOGICAL_AND | operators::LOGICAL_OR | operators::NOT_STRICTLY_FALSE => 0,
            operators::INDEX => {
                cost = costs.iter().fold(cost, |sum, one| sum.saturating_add(*one));
                return (cost.saturating_add(1), parts.first().map_or(Part::UNKNOWN, |part| part.value()));
            }
            operators::EQUALS | operators::NOT_EQUALS => tenth(parts.iter().min_by_key(|part| part.size)),
            operators::IN => match parts.get(1) {
                Some(part) if part.schema.is_some_and(|schema| schema.text("type") == "array") => part.size,
                _ => 1,
            },
            "matches" => {
                let pattern = parts.get(1).map_or(1, |part| part.size.div_ceil(4)).max(1);
                tenth(parts.first()).saturating_mul(pattern)
            }
            "contains" => tenth(parts.first()).saturating_mul(tenth(parts.get(1))),
            "startsWith" | "endsWith" => tenth(parts.get(1)),
            _ => 1,
        };
        cost = costs.iter().fold(cost, |sum, one| sum.saturating_add(*one));
        (cost.saturating_add(own), Part::UNKNOWN)
    }

    fn comprehension(&mut self, loop_: &'e ComprehensionExpr) -> (u64, Part<'e>) {
        let (range_cost, range) = self.cost(&loop_.iter_range);
        let depth = self.locals.len();
        self.locals.push((&loop_.iter_var, range.item()));
        let (condition, _) = self.cost(&loop_.loop_cond);
        let (step, _) = self.cost(&loop_.loop_step);
        self.locals.truncate(depth);
        let rounds = range.size.saturating_mul(condition.saturating_add(step));
        // A filtered list is no longer than what it was filtered from.
        (range_cost.saturating_add(rounds), Part { schema: None, size: range.size })
    }
}
