//! Loops that gather a list (`map`, `filter`): the same as any other loop, without copying the list in each round.

use kube_cel::cel::common::ast::{ComprehensionExpr, Expr, operators};
use kube_cel::cel::parser::Expression;

/// What one round of such a loop adds.
pub(super) struct Gathering<'e> {
    /// Without a condition every round adds.
    pub(super) condition: Option<&'e Expression>,
    pub(super) item: &'e Expression,
}

/// Recognizes `@result + [ITEM]` and `CONDITION ? @result + [ITEM] : @result`.
pub(super) fn gathering(loop_: &ComprehensionExpr) -> Option<Gathering<'_>> {
    let starts_empty = matches!(&loop_.accu_init.expr, Expr::List(list) if list.elements.is_empty());
    let returns_all = is_name(&loop_.result, &loop_.accu_var);
    if !starts_empty || !returns_all {
        return None;
    }
    match &loop_.loop_step.expr {
        Expr::Call(call) if call.func_name == operators::CONDITIONAL && call.args.len() == 3 => {
            let item = added(&call.args[1], &loop_.accu_var)?;
            is_name(&call.args[2], &loop_.accu_var).then_some(Gathering { condition: Some(&call.args[0]), item })
        }
        _ => Some(Gathering { condition: None, item: added(&loop_.loop_step, &loop_.accu_var)? }),
    }
}

fn added<'e>(step: &'e Expression, accumulator: &str) -> Option<&'e Expression> {
    let Expr::Call(call) = &step.expr else { return None };
    let [left, right] = call.args.as_slice() else { return None };
    if call.func_name != operators::ADD || !is_name(left, accumulator) {
        return None;
    }
    match &right.expr {
        Expr::List(list) if list.optional_indices.is_empty() => match list.elements.as_slice() {
            [item] => Some(item),
            _ => None,
        },
        _ => None,
    }
}

fn is_name(expression: &Expression, name: &str) -> bool {
    matches!(&expression.expr, Expr::Ident(found) if found == name)
}
