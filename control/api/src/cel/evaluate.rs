//! Evaluation: from an expression to its value, paid for step by step.

use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::cel::Value;
use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, MapExpr, SelectExpr, StructExpr, operators,
};
use kube_cel::cel::objects::Key;
use kube_cel::cel::parser::Expression;
use regex::Regex;

use super::accumulate::{Gathering, gathering};
use super::operators::{binary, comparison_cost, index, missing, negate, not};
use super::value::{as_key, as_optional, key_value, map_of, size};
use super::{Budget, EvaluateError, Scope, authorizer, calls, optional_of_none, optional_of_some};

/// What making a list, a map or a struct costs.
const LIST_COST: u64 = 10;
const MAP_COST: u64 = 30;
const STRUCT_COST: u64 = 40;
/// Patterns that one evaluation keeps compiled.
const PATTERNS_MAX: usize = 16;

type Result<T = Value, E = EvaluateError> = std::result::Result<T, E>;

pub(super) fn evaluate(expression: &Expression, scope: &dyn Scope, budget: &mut Budget) -> Result {
    Evaluator { scope, budget, locals: Vec::new(), patterns: HashMap::new() }.value(expression)
}

pub(super) struct Evaluator<'a> {
    scope: &'a dyn Scope,
    budget: &'a mut Budget,
    /// Variables of loops, the innermost last.
    locals: Vec<(String, Value)>,
    pub(super) patterns: HashMap<String, Regex>,
}

impl Evaluator<'_> {
    pub(super) fn spend(&mut self, cost: u64) -> Result<()> {
        self.budget.spend(cost)
    }

    /// Makes room for another pattern.
    pub(super) fn keep_pattern(&mut self, text: &str, pattern: Regex) {
        if self.patterns.len() >= PATTERNS_MAX {
            self.patterns.clear();
        }
        self.patterns.insert(text.to_owned(), pattern);
    }

    pub(super) fn value(&mut self, expression: &Expression) -> Result {
        match &expression.expr {
            Expr::Literal(literal) => Ok(literal_value(literal)),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.list(list),
            Expr::Map(map) => self.map(map),
            Expr::Struct(given) => self.structure(given),
            Expr::Comprehension(loop_) => self.comprehension(loop_),
            Expr::Unspecified => Err(EvaluateError::failed("the expression has a hole")),
        }
    }

    fn local(&self, name: &str) -> Option<&Value> {
        self.locals.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn name(&mut self, name: &str) -> Result {
        self.spend(1)?;
        if let Some(value) = self.local(name) {
            return Ok(value.clone());
        }
        let found = self.scope.variable(name.strip_prefix('.').unwrap_or(name));
        found
            .or_else(|| calls::type_value(name))
            .ok_or_else(|| EvaluateError::failed(format!("no such attribute(s): {name}")))
    }

    fn is_variable(&self, name: &str) -> bool {
        self.local(name).is_some() || self.scope.variable(name).is_some()
    }

    fn select(&mut self, select: &SelectExpr) -> Result {
        if let Expr::Ident(holder) = &select.operand.expr
            && self.local(holder).is_none()
        {
            if holder == "variables" {
                self.spend(1)?;
                if let Some(result) = self.scope.composited(&select.field, self.budget) {
                    return if select.test { Ok(Value::Bool(true)) } else { result };
                }
                return Err(EvaluateError::failed(format!("no such key: {}", select.field)));
            }
            // `authorizer.requestResource` is a variable of its own.
            if let Some(value) = self.scope.variable(&format!("{holder}.{}", select.field)) {
                self.spend(1)?;
                return Ok(value);
            }
        }
        let holder = self.value(&select.operand)?;
        self.spend(1)?;
        let key = Value::String(Arc::new(select.field.clone()));
        if let Some(inner) = as_optional(&holder) {
            let found = match inner {
                Some(inner) => self.field(&inner, &key)?,
                None => None,
            };
            return Ok(match (select.test, found) {
                (true, found) => Value::Bool(found.is_some()),
                (false, Some(found)) => optional_of_some(found),
                (false, None) => optional_of_none(),
            });
        }
        match (self.field(&holder, &key)?, select.test) {
            (found, true) => Ok(Value::Bool(found.is_some())),
            (Some(found), false) => Ok(found),
            (None, false) => Err(missing(&holder, &key)),
        }
    }

    fn field(&self, holder: &Value, key: &Value) -> Result<Option<Value>> {
        match holder {
            Value::Map(_) => index(holder, key),
            _ => Err(EvaluateError::failed("no such overload")),
        }
    }

    fn call(&mut self, call: &CallExpr) -> Result {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::CONDITIONAL, [condition, yes, no]) => match self.value(condition)? {
                Value::Bool(true) => self.value(yes),
                Value::Bool(false) => self.value(no),
                _ => Err(EvaluateError::failed("no such overload")),
            },
            (operators::LOGICAL_OR, [left, right]) => self.either(left, right, true),
            (operators::LOGICAL_AND, [left, right]) => self.either(left, right, false),
            (operators::LOGICAL_NOT, [operand]) => {
                let value = self.value(operand)?;
                self.spend(1)?;
                not(&value)
            }
            (operators::NEGATE, [operand]) => {
                let value = self.value(operand)?;
                self.spend(1)?;
                negate(&value)
            }
            (operators::NOT_STRICTLY_FALSE, [operand]) => match self.value(operand) {
                Ok(Value::Bool(value)) => Ok(Value::Bool(value)),
                Err(error) if !error.can_be_absorbed() => Err(error),
                _ => Ok(Value::Bool(true)),
            },
            (operators::INDEX, [holder, at]) => self.index(holder, at, false),
            (operators::OPT_INDEX | operators::OPT_SELECT, [holder, at]) => self.index(holder, at, true),
            _ => self.function(call),
        }
    }

    /// `a || b` is true when one of them is, whatever is wrong with the other; `a && b` likewise false.
    fn either(&mut self, left: &Expression, right: &Expression, decides: bool) -> Result {
        let first = match self.value(left) {
            Ok(Value::Bool(value)) if value == decides => return Ok(Value::Bool(decides)),
            Ok(Value::Bool(_)) => None,
            Ok(_) => Some(EvaluateError::failed("no such overload")),
            Err(error) if error.can_be_absorbed() => Some(error),
            Err(error) => return Err(error),
        };
        match (self.value(right), first) {
            (Ok(Value::Bool(value)), _) if value == decides => Ok(Value::Bool(decides)),
            (Err(error), _) if !error.can_be_absorbed() => Err(error),
            (_, Some(error)) | (Err(error), None) => Err(error),
            (Ok(Value::Bool(value)), None) => Ok(Value::Bool(value)),
            (Ok(_), None) => Err(EvaluateError::failed("no such overload")),
        }
    }

    fn index(&mut self, holder: &Expression, at: &Expression, optional: bool) -> Result {
        let holder = self.value(holder)?;
        let at = self.value(at)?;
        self.spend(1)?;
        match as_optional(&holder) {
            Some(None) => Ok(optional_of_none()),
            Some(Some(inner)) => Ok(index(&inner, &at)?.map_or_else(optional_of_none, optional_of_some)),
            None if optional => Ok(index(&holder, &at)?.map_or_else(optional_of_none, optional_of_some)),
            None => index(&holder, &at)?.ok_or_else(|| missing(&holder, &at)),
        }
    }

    fn function(&mut self, call: &CallExpr) -> Result {
        let name = call.func_name.as_str();
        if let Some(target) = &call.target {
            if let Expr::Ident(namespace) = &target.expr
                && calls::is_namespace(namespace)
                && !self.is_variable(namespace)
            {
                let arguments = self.values(&call.args)?;
                return calls::call(self, &format!("{namespace}.{name}"), None, &arguments);
            }
            if calls::is_loop(name, call.args.len()) {
                return calls::run_loop(self, name, target, &call.args);
            }
            let target = self.value(target)?;
            if let Some(alternative) = calls::lazy_alternative(name, &target, &call.args) {
                return match alternative {
                    Ok(value) => Ok(value),
                    Err(other) => self.value(other),
                };
            }
            let arguments = self.values(&call.args)?;
            if let Some(cost) = authorizer::cost(name, &target) {
                self.spend(cost)?;
                return authorizer::call(name, &target, &arguments)
                    .unwrap_or_else(|| Err(EvaluateError::failed("no such overload")));
            }
            return calls::call(self, name, Some(target), &arguments);
        }
        let mut arguments = self.values(&call.args)?;
        if arguments.len() == 2
            && let (Some(right), Some(left)) = (arguments.pop(), arguments.pop())
        {
            let cost = match name {
                operators::EQUALS
                | operators::NOT_EQUALS
                | operators::LESS
                | operators::LESS_EQUALS
                | operators::GREATER
                | operators::GREATER_EQUALS => comparison_cost(&left, &right),
                operators::IN => match &right {
                    Value::List(items) => u64::try_from(items.len()).unwrap_or(u64::MAX).max(1),
                    _ => 1,
                },
                operators::ADD => match (&left, &right) {
                    (Value::String(_) | Value::Bytes(_), _) => {
                        (size(&left).unwrap_or(0) + size(&right).unwrap_or(0)).div_ceil(10).max(1)
                    }
                    _ => 1,
                },
                _ => 1,
            };
            self.spend(cost)?;
            if let Some(result) = binary(name, left.clone(), right.clone()) {
                return result;
            }
            arguments = vec![left, right];
        }
        calls::call(self, name, None, &arguments)
    }

    pub(super) fn values(&mut self, expressions: &[Expression]) -> Result<Vec<Value>> {
        expressions.iter().map(|expression| self.value(expression)).collect()
    }

    fn list(&mut self, list: &ListExpr) -> Result {
        self.spend(LIST_COST)?;
        let mut items = Vec::with_capacity(list.elements.len());
        for (position, element) in list.elements.iter().enumerate() {
            let value = self.value(element)?;
            if list.optional_indices.contains(&position) {
                items.extend(as_optional(&value).unwrap_or(Some(value)));
            } else {
                items.push(value);
            }
        }
        Ok(Value::List(Arc::new(items)))
    }

    fn map(&mut self, map: &MapExpr) -> Result {
        self.spend(MAP_COST)?;
        let mut entries: Vec<(Key, Value)> = Vec::with_capacity(map.entries.len());
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            let key = self.value(&entry.key)?;
            let key = as_key(&key).ok_or_else(|| EvaluateError::failed("unsupported key type"))?;
            let value = self.value(&entry.value)?;
            if entries.iter().any(|(known, _)| *known == key) {
                return Err(EvaluateError::failed(format!("insert failed: key {key:?} already exists")));
            }
            let value = if entry.optional { as_optional(&value).unwrap_or(Some(value)) } else { Some(value) };
            entries.extend(value.map(|value| (key, value)));
        }
        Ok(map_of(entries.into_iter()))
    }

    /// `Object.spec{replicas: 1}`: a map of its fields.
    fn structure(&mut self, given: &StructExpr) -> Result {
        self.spend(STRUCT_COST)?;
        let mut entries: Vec<(Key, Value)> = Vec::with_capacity(given.entries.len());
        for entry in &given.entries {
            let EntryExpr::StructField(field) = &entry.expr else { continue };
            let value = self.value(&field.value)?;
            let value = if field.optional { as_optional(&value).unwrap_or(Some(value)) } else { Some(value) };
            entries.extend(value.map(|value| (Key::String(Arc::new(field.field.clone())), value)));
        }
        Ok(map_of(entries.into_iter()))
    }

    /// The items of a list, or the keys of a map in order.
    pub(super) fn items(&mut self, range: &Value) -> Result<Vec<Value>> {
        match range {
            Value::List(items) => Ok(items.to_vec()),
            Value::Map(map) => {
                let mut keys: Vec<&Key> = map.map.keys().collect();
                keys.sort();
                Ok(keys.into_iter().map(key_value).collect())
            }
            _ => Err(EvaluateError::failed("no such overload")),
        }
    }

    /// Evaluates with a variable more.
    pub(super) fn with<T>(&mut self, name: &str, value: Value, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.locals.push((name.to_owned(), value));
        let result = act(self);
        self.locals.pop();
        result
    }

    fn comprehension(&mut self, loop_: &ComprehensionExpr) -> Result {
        let range = self.value(&loop_.iter_range)?;
        let items = self.items(&range)?;
        if let Some(gathering) = gathering(loop_) {
            return self.gather(&loop_.iter_var, items, &gathering);
        }
        let start = self.value(&loop_.accu_init)?;
        let depth = self.locals.len();
        self.locals.push((loop_.accu_var.clone(), start));
        let outcome = self.rounds(loop_, items);
        let result = outcome.and_then(|()| self.value(&loop_.result));
        self.locals.truncate(depth);
        result
    }

    fn rounds(&mut self, loop_: &ComprehensionExpr, items: Vec<Value>) -> Result<()> {
        let at = self.locals.len() - 1;
        for item in items {
            self.spend(1)?;
            if !matches!(self.value(&loop_.loop_cond)?, Value::Bool(true)) {
                break;
            }
            // An error of one round may be made up for by a later one, as in `[1, 0].exists(x, 1 / x == 1)`.
            let step = self.with(&loop_.iter_var, item, |this| this.value(&loop_.loop_step));
            match step {
                Ok(value) => self.locals[at].1 = value,
                Err(error) if error.can_be_absorbed() => self.locals[at].1 = calls::error_value(error),
                Err(error) => return Err(error),
            }
        }
        match calls::error_of(&self.locals[at].1) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn gather(&mut self, variable: &str, items: Vec<Value>, gathering: &Gathering<'_>) -> Result {
        self.spend(LIST_COST)?;
        let mut gathered = Vec::new();
        for item in items {
            self.spend(1)?;
            let added = self.with(variable, item, |this| {
                let wanted = match gathering.condition {
                    Some(condition) => this.value(condition)?,
                    None => Value::Bool(true),
                };
                match wanted {
                    Value::Bool(false) => Ok(None),
                    Value::Bool(true) => {
                        this.spend(LIST_COST)?;
                        this.value(gathering.item).map(Some)
                    }
                    _ => Err(EvaluateError::failed("no such overload")),
                }
            })?;
            gathered.extend(added);
        }
        Ok(Value::List(Arc::new(gathered)))
    }
}

fn literal_value(literal: &LiteralValue) -> Value {
    match literal {
        LiteralValue::Boolean(value) => Value::Bool(*value.inner()),
        LiteralValue::Bytes(value) => Value::Bytes(Arc::new(value.inner().to_vec())),
        LiteralValue::Double(value) => Value::Float(*value.inner()),
        LiteralValue::Int(value) => Value::Int(*value.inner()),
        LiteralValue::Null => Value::Null,
        LiteralValue::String(value) => Value::String(Arc::new(value.inner().to_owned())),
        LiteralValue::UInt(value) => Value::UInt(*value.inner()),
    }
}
