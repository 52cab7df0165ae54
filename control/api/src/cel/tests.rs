use super::*;
use proptest::prelude::*;
use serde_json::json;

fn run(source: &str) -> Result<Value, String> {
    let program = Program::compile(source).map_err(|error| error.to_string())?;
    let object = json!({
        "name": "ü1", "list": [1, 2, 3], "map": {"a": 1, "b": 2}, "half": 0.5,
        "items": [{"n": "x", "v": 1}, {"n": "y", "v": 2}],
    });
    let scope = Variables::default().with("self", from_json(&object)).with("nothing", null());
    program.evaluate(&scope, &mut Budget::new(COST_MAX)).map_err(|error| error.to_string())
}

#[track_caller]
fn check(source: &str, expected: &serde_json::Value) {
    let value = run(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    assert_eq!(to_json(&value).unwrap(), *expected, "{source}");
}

#[track_caller]
fn fails(source: &str, expected: &str) {
    assert_eq!(run(source).map(|value| value::shown(&value)), Err(expected.to_owned()), "{source}");
}

#[test]
fn the_language_means_what_its_specification_says() {
    for truth in [
        "self.list.all(x, x > 0) && self.list.exists(x, x == 2) && self.list.exists_one(x, x == 2)",
        "self.list.map(x, x * 2) == [2, 4, 6] && self.list.filter(x, x > 1) == [2, 3]",
        "self.list.map(x, x > 1, x * 2) == [4, 6]",
        "self.map.all(k, self.map[k] > 0) && 'a' in self.map && !('c' in self.map)",
        "has(self.name) && !has(self.other)",
        "self.?other.orValue('none') == 'none' && self.?name.orValue('') == 'ü1'",
        "self.?a.b.c.hasValue() == false && self[?'name'].value() == 'ü1'",
        "optional.of(1).optMap(x, x + 1).value() == 2 && !optional.none().hasValue()",
        "size(self.name) == 2 && self.name.size() == 2",
        "1 == 1.0 && 1u == 1 && [1] == [1.0] && {'a': 1} == {'a': 1u} && 1 < 1.5",
        "false && 1 / 0 == 1 == false || true || 1 / 0 == 1",
        "[1, 0].exists(x, 1 / x == 1) && [0, 1].exists(x, 1 / x == 1)",
        "type(1) == int && type('') == string && type(null) == null_type && dyn(1) == 1",
        "timestamp('2024-01-01T00:00:00Z') + duration('1h') == timestamp('2024-01-01T01:00:00Z')",
        "timestamp('2024-01-01T00:00:00Z') < timestamp('2025-01-01T00:00:00Z')",
        "quantity('1Gi').isGreaterThan(quantity('1Mi')) && isQuantity('10m')",
        "ip('127.0.0.1').isLoopback() && ip.isCanonical('127.0.0.1') && cidr('10.0.0.0/8').containsIP('10.1.2.3')",
        "'a,b'.split(',') == ['a', 'b'] && 'abc'.matches('^a.c$') && 'Abc'.lowerAscii() == 'abc'",
        "sets.contains([1, 2], [2]) && [3, 1].min() == 1 && [1, 2].isSorted() && math.greatest(1, 2) == 2",
        "self.items.all(i, item, item.v == i + 1) && self.map.exists(k, v, k == 'b' && v == 2)",
        "self.items.map(i, i.n).join('-') == 'x-y' && 'a%d'.format([1]) == 'a1'",
        "self.half * 2.0 == 1.0 && -self.list[0] == -1 && 7 % 4 == 3 && b'ab' + b'c' == b'abc'",
        "bool('true') && string(1) == '1' && int('7') == 7 && double(1) == 1.0",
        "nothing == null && self.name != nothing",
    ] {
        check(truth, &json!(true));
    }
    check("{'a': [1, {'b': null}], ?'c': optional.none()}", &json!({"a": [1, {"b": null}]}));
    check("Object{spec: Object.spec{replicas: 1, ?x: optional.none()}}", &json!({"spec": {"replicas": 1}}));
    check("jsonpatch.escapeKey('a/b~c')", &json!("a~1b~0c"));
}

#[test]
fn what_cannot_be_done_is_told_in_the_words_of_upstream() {
    fails("self.other == 1", "no such key: other");
    fails("self.list[7]", "index out of bounds: 7");
    fails("nosuch > 1", "no such attribute(s): nosuch");
    fails("1 / 0", "division by zero");
    fails("9223372036854775807 + 1", "integer overflow");
    fails("'a' + 1", "no such overload");
    fails("self.name.x", "no such overload");
    fails("[1, 2].all(x, x.y == 1)", "no such overload");
}

#[test]
fn an_expression_that_works_too_long_is_ended() {
    let items = "[0,1,2,3,4,5,6,7,8,9]";
    let mut source = String::from("true");
    for level in 0..8 {
        source = format!("{items}.all(x{level}, {source})");
    }
    fails(&source, "operation cancelled: actual cost limit exceeded");
    let program = Program::compile(&format!("{items}.all(x, x >= 0)")).unwrap();
    let mut budget = Budget::new(20);
    assert_eq!(program.evaluate(&Variables::default(), &mut budget), Err(EvaluateError::Budget));
}

#[test]
fn permissions_are_asked_for() {
    #[derive(Debug)]
    struct Host;
    impl Authorizer for Host {
        fn decide(&self, verb: &str, check: &Check) -> Decision {
            let allowed = verb == "get" && check.resource == "pods" && check.namespace == "n";
            Decision { allowed, reason: format!("{verb} {}", check.resource) }
        }
    }
    let host: std::sync::Arc<dyn Authorizer> = std::sync::Arc::new(Host);
    let own = Check { resource: "pods".to_owned(), namespace: "n".to_owned(), ..Check::default() };
    let scope = Variables::default()
        .with("authorizer", authorizer_value(host.clone()))
        .with("authorizer.requestResource", request_resource_value(host, own));
    for (source, expected) in [
        ("authorizer.group('').resource('pods').namespace('n').check('get').allowed()", true),
        ("authorizer.group('').resource('pods').namespace('m').check('get').allowed()", false),
        ("authorizer.requestResource.check('get').allowed()", true),
        ("authorizer.requestResource.name('x').check('list').reason() == 'list pods'", true),
        ("authorizer.path('/healthz').check('get').allowed()", false),
        ("authorizer.serviceAccount('a', 'b').group('').resource('x').check('get').errored()", false),
    ] {
        let value = Program::compile(source).unwrap().evaluate(&scope, &mut Budget::new(COST_MAX)).unwrap();
        assert_eq!(value, Value::Bool(expected), "{source}");
    }
}

#[test]
fn names_are_escaped_as_upstream_does() {
    for (name, escaped) in [
        ("plain", Some("plain")),
        ("a-b", Some("a__dash__b")),
        ("a.b/c", Some("a__dot__b__slash__c")),
        ("a__b", Some("a__underscores__b")),
        ("namespace", Some("__namespace__")),
        ("1a", None),
        ("a b", None),
    ] {
        assert_eq!(value::escape(name).as_deref(), escaped, "{name}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(source in "\\PC{0,60}") {
        let _ = run(&source);
    }

    #[test]
    fn no_combination_of_words_makes_it_panic(words in prop::collection::vec(prop::sample::select(vec![
        "self", ".", "list", "[", "]", "(", ")", "+", "-", "*", "/", "==", "&&", "||", "?", ":", "!", "1", "0", "'a'",
        "all", "x", ",", "{", "}", "null", "size", "matches", "-9223372036854775808", "duration", "timestamp", "'1h'",
        "getDayOfYear", "split", "substring", "1.5", "replace", "Object", "in", "<", ".?", "[?", "math.abs", "lists.range",
    ]), 0..24)) {
        let _ = run(&words.concat());
    }
}
