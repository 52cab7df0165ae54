#!/usr/bin/env python3
"""Makes data/protobuf-1.34.json: the field numbers of the built-in types in Kubernetes' protobuf encoding.

  make_protobuf.py PATH_OF_THE_SOURCES_OF_THE_CRATE_k8s-pb > data/protobuf-1.34.json

The numbers are facts of the wire format. They are read from the attributes in the crate's sources and matched by name with
the types of data/schema-1.34.json, which alone decides the shapes. One line per type: name, {field: number}, and for the
messages that stand for fields which JSON has in the outer object, {number: {field: number}}.
"""
import json, os, re, sys

HERE = os.path.dirname(os.path.abspath(__file__))
STRUCT = re.compile(r'pub struct (\w+) \{(.*?)\n\}', re.S)
FIELD = re.compile(r'#\[prost\((.*?)tag = "(\d+)"\)\]\s*pub (?:r#)?(\w+):\s*(.*?),\n(?=\s*(?:///|#|$))', re.S)

# Messages that the crate's sources lack, from the same generated.proto.
EXTRA = {'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceSubresources': {'status': 1, 'scale': 2}}

def flat(name):
    return re.sub('[^a-z0-9]', '', name.lower())

def read(root):
    """Message name, lower case, with its module: fields as (flat name, number, type)."""
    messages = {}
    for folder, _, files in os.walk(os.path.join(root, 'src')):
        for file in files:
            module = os.path.relpath(folder, os.path.join(root, 'src')).replace(os.sep, '.').replace('_', '-')
            text = re.sub(r'^\s*///.*\n', '', open(os.path.join(folder, file)).read(), flags=re.M)
            for name, body in STRUCT.findall(text):
                fields = [(flat(field), int(tag), re.findall(r'\w+', kind)[-1]) for _, tag, field, kind in FIELD.findall(body + '\n')]
                messages[f'{module}.{name}'.lower()] = fields
    return messages

def match(messages, module, message, wanted):
    """Numbers of the wanted fields; what is matched is taken out of `wanted`."""
    numbers, nested = {}, {}
    for field, tag, kind in message:
        if field in wanted: numbers[wanted.pop(field)] = tag
    for field, tag, kind in message:
        inner = messages.get(f'{module}.{kind.lower()}')
        if tag in numbers.values() or inner is None: continue
        deep = match(messages, module, inner, wanted)
        if deep[0] or deep[1]: nested[str(tag)] = deep if deep[1] else deep[:1]
    return numbers, nested

def main():
    messages = read(sys.argv[1])
    types = json.load(open(os.path.join(HERE, '..', 'data', 'schema-1.34.json')))['types']
    lines, missing = [], []
    for ty in types:
        fields = [f[0] for f in ty.get('fields', [])]
        name = ty['name']
        key = name.removeprefix('io.k8s.').lower()
        message = messages.get(key)
        if name in EXTRA:
            lines.append(json.dumps([name, EXTRA[name]], separators=(',', ':')))
            continue
        if not fields or message is None:
            if fields and not fields == ['apiVersion', 'items', 'kind', 'metadata']: missing.append(name)
            continue
        wanted = {flat(f): f for f in fields if not (f in ('apiVersion', 'kind') and 'metadata' in fields)}
        numbers, nested = match(messages, key.rsplit('.', 1)[0], message, wanted)
        left = [f for f in wanted.values() if f not in ('apiVersion', 'kind')]
        if left: missing.append(f'{name}: {left}')
        lines.append(json.dumps([name, numbers] + ([nested] if nested else []), separators=(',', ':')))
    for name in missing: print(name, file=sys.stderr)
    print('[\n' + ',\n'.join(lines) + '\n]')

main()
