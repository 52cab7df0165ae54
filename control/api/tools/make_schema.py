#!/usr/bin/env python3
"""Makes data/schema-VERSION.json, the table of facts on the built-in types.

  make_schema.py --version 1.34 --openapi DIR [--go MODULE=DIR ...] --order FILE --out FILE

`--openapi` names a folder of OpenAPI v3 documents as a server publishes them (`*.json.gz`). Facts are taken from them,
descriptions are not. `--go k8s.io/api=DIR` names a folder with the Go sources of a module; from these come the facts
that OpenAPI does not tell: whether a field is a pointer, whether its empty value is left out, and the name of its Go
type, which upstream's error messages print. Wanted: k8s.io/api, k8s.io/apimachinery, k8s.io/apiextensions-apiserver,
k8s.io/kube-aggregator.

`--order` names data/protobuf-VERSION.json: fields come in the order of the Go struct, in which upstream prints them.

The file has one line per type: {"name", "fields": [[name, type, flags, more?], ...], ...}.
  type   string int32 int64 bool double bytes any, a type's name, `[]TYPE` or `{}TYPE`
  flags  r required, p pointer in Go, e empty value left out, z zero struct left out too, d the document gives the
         empty value as default, i the same for the innermost items
  more   default, enum (of a list or map: of what is in it), list, keys, map, merge, strategy, go (name of the Go type where it
         does not follow from `type`)
Standard library only.
"""
import argparse, glob, gzip, json, os, re

LEAVES = {('string', None): 'string', ('integer', 'int32'): 'int32', ('integer', 'int64'): 'int64', ('boolean', None): 'bool',
          ('number', 'double'): 'double', ('string', 'byte'): 'bytes', ('object', None): 'any', (None, None): 'any'}
GO_LEAVES = {'string': 'string', 'int32': 'int32', 'int64': 'int64', 'bool': 'bool', 'double': 'float64', 'bytes': '[]uint8'}
EMPTY = ('', 0, False, {}, [])

# --- Go sources -------------------------------------------------------------------------------------------------------

def go_packages(modules):
    """{import path: {type name: struct fields or alias}} and {import path: {alias: import path}} per file."""
    packages = {}
    for module, folder in modules.items():
        for path in glob.glob(os.path.join(folder, '**', '*.go'), recursive=True):
            if path.endswith('_test.go') or 'generated' in os.path.basename(path): continue
            package = module + '/' + os.path.relpath(os.path.dirname(path), folder)
            read_go(open(path, encoding='utf-8').read(), packages.setdefault(package.replace('/.', ''), {}), package)
    return packages

def read_go(text, types, package):
    text = re.sub(r'/\*.*?\*/', '', text, flags=re.S)
    text = re.sub(r'(?m)//.*$', '', text)
    imports = {}
    for block in re.findall(r'import\s*\((.*?)\)', text, re.S) + re.findall(r'import\s+([^\n(]+)', text):
        for alias, target in re.findall(r'(\w+)?\s*"([^"]+)"', block): imports[alias or target.rsplit('/', 1)[-1]] = target
    for name, body in re.findall(r'(?m)^type (\w+) struct \{\n(.*?)^\}', text, re.S):
        fields = []
        for line in body.splitlines():
            m = re.match(r'\s*(?:(\w+)\s+)?(\S.*?)\s+`(.*)`\s*$', line)
            if not m: continue
            tag = re.search(r'json:"([^"]*)"', m.group(3))
            if not tag: continue
            options = tag.group(1).split(',')
            fields.append((options[0], m.group(2).strip(), options[1:]))
        types[name] = ('struct', fields, imports, package)
    for name, target in re.findall(r'(?m)^type (\w+) ([\w.\[\]*]+)\s*$', text): types.setdefault(name, ('alias', target, imports, package))
    for name, target in re.findall(r'(?m)^\t(\w+) (string|int32|int64)\s*$', text): types.setdefault(name, ('alias', target, imports, package))

def go_name(expression, imports, package):
    """How reflect prints a type: packages by their last name."""
    here = package.rsplit('/', 1)[-1]
    def one(m):
        word = m.group(0)
        if '.' in word:
            alias, name = word.split('.')
            return imports.get(alias, alias).rsplit('/', 1)[-1] + '.' + name
        if word == 'byte': return 'uint8'
        if word in ('string', 'bool', 'int32', 'int64', 'float64', 'map', 'int'): return word
        return here + '.' + word
    return re.sub(r'[A-Za-z_]\w*(?:\.\w+)?', one, expression)

def go_fields(packages, package, name):
    """{json name: (type expression, tag options, imports, package)} of a struct, inlined ones flattened."""
    entry = packages.get(package, {}).get(name)
    if not entry or entry[0] != 'struct': return {}
    out = {}
    for json_name, expression, options in entry[1]:
        if json_name == '' and 'inline' in options:
            word = expression.lstrip('*')
            target = (entry[2].get(word.split('.')[0], ''), word.split('.')[1]) if '.' in word else (package, word)
            out.update(go_fields(packages, *target))
        elif json_name not in ('', '-'): out[json_name] = (expression, options, entry[2], package)
    return out

def is_empty_struct_kept(packages, expression, imports, package):
    """True when the field's type is a struct: encoding/json never leaves one out for being empty."""
    if expression.startswith(('*', '[', 'map')): return False
    target = (imports.get(expression.split('.')[0], ''), expression.split('.')[1]) if '.' in expression else (package, expression)
    entry = packages.get(target[0], {}).get(target[1])
    if entry and entry[0] == 'alias': return False
    return entry is not None

# --- OpenAPI ----------------------------------------------------------------------------------------------------------

def package_of(definition):
    path = definition.rsplit('.', 1)[0]
    for prefix, module in (('io.k8s.api.', 'k8s.io/api/'), ('io.k8s.apimachinery.', 'k8s.io/apimachinery/'),
                           ('io.k8s.apiextensions-apiserver.', 'k8s.io/apiextensions-apiserver/'), ('io.k8s.kube-aggregator.', 'k8s.io/kube-aggregator/')):
        if path.startswith(prefix): return module + path[len(prefix):].replace('.', '/')
    return path

def reference(schema):
    if '$ref' in schema: return schema['$ref'].rsplit('/', 1)[-1]
    if 'allOf' in schema: return schema['allOf'][0]['$ref'].rsplit('/', 1)[-1]

def type_of(schema):
    """(type expression, True when items carry their empty value as default)"""
    target = reference(schema)
    if target: return target, False
    if schema.get('type') == 'array':
        inner, nested = type_of(schema['items']); return '[]' + inner, nested or 'default' in schema['items']
    if isinstance(schema.get('additionalProperties'), dict):
        values = schema['additionalProperties']; inner, nested = type_of(values); return '{}' + inner, nested or 'default' in values
    return LEAVES[(schema.get('type'), schema.get('format'))], False

def derived_go_name(kind):
    if kind.startswith('[]'): return '[]' + derived_go_name(kind[2:])
    if kind.startswith('{}'): return 'map[string]' + derived_go_name(kind[2:])
    if kind in GO_LEAVES: return GO_LEAVES[kind]
    parts = kind.split('.')
    return '.'.join(parts[-2:])

def line_of(name, schema, packages):
    package = package_of(name); go = go_fields(packages, package, name.rsplit('.', 1)[-1]); fields = []
    for key, value in sorted(schema.get('properties', {}).items()):
        kind, items_default = type_of(value); flags = 'r' if key in schema.get('required', []) else ''; more = {}
        if key in go:
            expression, options, imports, where = go[key]
            if expression.startswith('*'): flags += 'p'
            # An empty struct is written even when the tag says omitempty, unless it says omitzero too.
            if 'omitempty' in options and ('omitzero' in options or not is_empty_struct_kept(packages, expression, imports, where)): flags += 'e'
            if 'omitzero' in options: flags += 'z'
            printed = go_name(expression.lstrip('*'), imports, where)
            if printed != derived_go_name(kind): more['go'] = printed
        elif packages: raise SystemExit(f'{name}.{key}: not in the Go sources')
        if 'default' in value:
            if value['default'] in EMPTY: flags += 'd'
            else: more['default'] = value['default']
        if items_default: flags += 'i'
        for inner in (value.get('items'), value.get('additionalProperties')):
            if isinstance(inner, dict) and 'enum' in inner: more['enum'] = inner['enum']
        for source, target in (('enum', 'enum'), ('x-kubernetes-list-type', 'list'), ('x-kubernetes-list-map-keys', 'keys'), ('x-kubernetes-map-type', 'map'),
                               ('x-kubernetes-patch-merge-key', 'merge'), ('x-kubernetes-patch-strategy', 'strategy')):
            if source in value: more[target] = value[source]
        fields.append([key, kind, flags] + ([more] if more else []))
    line = {'name': name}
    if 'type' not in schema: line['untyped'] = True
    elif schema['type'] != 'object': line['leaf'] = schema['type']
    for source, target in (('format', 'format'), ('oneOf', 'oneOf'), ('x-kubernetes-map-type', 'map'), ('x-kubernetes-group-version-kind', 'gvk'), ('x-kubernetes-unions', 'unions')):
        if source in schema: line[target] = schema[source]
    if 'gvk' in line: line['gvk'] = [[g['group'], g['version'], g['kind']] for g in line['gvk']]
    if fields: line['fields'] = fields
    return json.dumps(line, separators=(',', ':'))

def go_order(path):
    """Type name -> names of its fields in the order of the Go struct, which is that of the protobuf table's rows."""
    def names(fields, inner={}):
        # The fields of an embedded struct stand where the message does that holds them.
        groups = sorted((int(number), names(*message)) for number, message in inner.items()); out = []
        for field, number in fields.items():
            while groups and groups[0][0] < number: out += groups.pop(0)[1]
            out.append(field)
        return out + [field for _, group in groups for field in group]
    rows = {name: ['kind', 'apiVersion'] + names(*row) for name, *row in json.load(open(path))}
    return {name: {field: place for place, field in enumerate(fields)} for name, fields in rows.items()}

def ordered(line, order):
    """The line with its fields in Go's order; those of types that no message stands for stay in that of the alphabet."""
    line = json.loads(line); places = order.get(line['name'], {'kind': 0, 'apiVersion': 1, 'metadata': 2, 'items': 3})
    if 'fields' in line: line['fields'].sort(key=lambda field: places.get(field[0], len(places)))
    return json.dumps(line, separators=(',', ':'))

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--version', required=True); p.add_argument('--openapi', required=True); p.add_argument('--go', action='append', default=[]); p.add_argument('--out', required=True); p.add_argument('--order', required=True)
    args = p.parse_args(); definitions = {}
    for path in sorted(glob.glob(os.path.join(args.openapi, '*.json.gz'))):
        definitions.update(json.load(gzip.open(path)).get('components', {}).get('schemas', {}))
    packages = go_packages(dict(item.split('=', 1) for item in args.go))
    order = go_order(args.order)
    lines = [ordered(line_of(name, definitions[name], packages), order) for name in sorted(definitions)]
    with open(args.out, 'w', encoding='utf-8') as out:
        out.write('{"version":"' + args.version + '","types":[\n' + ',\n'.join(lines) + '\n]}\n')
    print(f'{len(lines)} types')

if __name__ == '__main__': main()
