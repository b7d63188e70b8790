#!/usr/bin/env python3
"""Cycles among the modules of a Rust crate.

    cycles.py CRATE_DIR...        per crate: files in cycles, and the cycles
    cycles.py -v CRATE_DIR...     also the edges inside of them

A node is a file. An edge is a path in code outside of `#[cfg(test)] mod` that leads to another file:
crate::…, super::…, self::…, or one that begins with a child module. Re-exports are followed to the file that
has the item. `mod x;` alone is no edge. The second figure counts the same by top-level module, where a folder
is one node.
"""
import re, sys
from pathlib import Path

def strip(text):
    """Without comments, strings, and test modules."""
    out, i, n = [], 0, len(text)
    while i < n:
        if text.startswith("//", i):
            j = text.find("\n", i); i = n if j < 0 else j
        elif text.startswith("/*", i):
            j = text.find("*/", i); i = n if j < 0 else j + 2
        elif (m := re.compile(r'\b(?:br|r)(#*)"').match(text, i)) and (i == 0 or not (text[i-1].isalnum() or text[i-1] == "_")):
            j = text.find('"' + m.group(1), m.end()); i = j + 1 + len(m.group(1)); out.append('""')
        elif text[i] == '"':
            j = i + 1
            while text[j] != '"':
                j += 2 if text[j] == "\\" else 1
            inner = text[i+1:j]; i = j + 1
            # serde's `with = "crate::kept::rng"` is a path.
            out.append(" " + inner + " " if re.fullmatch(r"(crate|super)(::\w+)+", inner) else '""')
        elif m := re.compile(r"'(\\.[^']*|[^\\'])'").match(text, i):
            i = m.end(); out.append("' '")
        else:
            out.append(text[i]); i += 1
    text = "".join(out)
    pattern = re.compile(r"#\[cfg\((?:test|all\(test[^\]]*)\)\]\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*([;{])")
    tests = []
    while m := pattern.search(text):
        end = m.end()
        if m.group(2) == "{":
            depth = 1
            while depth:
                depth += {"{": 1, "}": -1}.get(text[end], 0); end += 1
        else:
            tests.append(m.group(1))
        text = text[:m.start()] + text[end:]
    return text, tests

def tree(text):
    """The leaves of a use tree: (path segments, name that it has here)."""
    text = text.strip()
    if m := re.match(r"^((?:[\w]+\s*::\s*)*)\{(.*)\}$", text, re.S):
        prefix = [s.strip() for s in m.group(1).split("::") if s.strip()]
        depth, part, parts = 0, "", []
        for c in m.group(2):
            depth += {"{": 1, "}": -1}.get(c, 0)
            if c == "," and depth == 0:
                parts.append(part); part = ""
            else:
                part += c
        parts.append(part)
        for part in parts:
            if part.strip():
                for path, name in tree(part):
                    path = prefix + ([] if path == ["self"] else path)
                    yield path, (name if name != "self" else prefix[-1])
        return
    m = re.match(r"^(.*?)(?:\s+as\s+(\w+))?$", text, re.S)
    path = [s.strip() for s in m.group(1).split("::") if s.strip()]
    if path:
        yield path, m.group(2) or path[-1]

class Crate:
    def __init__(self, root):
        self.src = Path(root) / "src"
        self.files, self.uses, self.text = {}, {}, {}   # module path (tuple) → file
        for entry in ("lib.rs", "main.rs"):
            if (self.src / entry).exists():
                self.load((), self.src / entry, self.src, ("main",) if entry == "main.rs" and () in self.files else ())
    def load(self, module, file, folder, alias=()):
        module = alias or module
        text, tests = strip(file.read_text())
        self.files[module] = file
        self.text[module] = text
        self.uses[module] = []
        for m in re.finditer(r"\buse\s+([^;]+);", text):
            self.uses[module] += list(tree(m.group(1)))
        for m in re.finditer(r"(?:#\[path\s*=\s*[^\]]*\]\s*)?\bmod\s+(\w+)\s*;", text):
            name = m.group(1)
            for child in (folder / f"{name}.rs", folder / name / "mod.rs"):
                if child.exists():
                    self.load((module if not alias else ()) + (name,), child, folder / name)
    def resolve(self, here, path, seen=()):
        """The module that has the item at a path, or None."""
        path = list(path)
        if path[0] == "crate":
            at, path = (), path[1:]
        elif path[0] in ("super", "self"):
            at = here
            while path and path[0] in ("super", "self"):
                at = at[:-1] if path[0] == "super" else at
                path = path[1:]
        elif here + (path[0],) in self.files:
            at = here
        else:
            return None
        while path and at + (path[0],) in self.files:
            at, path = at + (path[0],), path[1:]
        if path and (at, path[0]) not in seen:
            for used, name in self.uses.get(at, ()):
                if name == path[0]:
                    found = self.resolve(at, used + path[1:], seen + ((at, path[0]),))
                    if found is not None:
                        return found
        return at
    def edges(self):
        edges = {}
        for here, text in self.text.items():
            out = edges.setdefault(here, set())
            paths = [path for path, _ in self.uses[here]]
            rest = re.sub(r"\buse\s+[^;]+;", "", text)
            for m in re.finditer(r"(?<![\w:.])((?:\w+\s*::\s*)+\w+)", rest):
                paths.append([s.strip() for s in m.group(1).split("::")])
            for path in paths:
                # Locally imported modules: `use crate::x; … x::f()`.
                for used, name in self.uses[here]:
                    if path[0] == name and used != path and name not in ("crate", "self", "super"):
                        path = used + path[1:]; break
                to = self.resolve(here, path)
                if to is not None and to != here:
                    out.add(to)
        return edges

def sccs(edges):
    index, low, on, stack, out, n = {}, {}, set(), [], [], [0]
    sys.setrecursionlimit(10000)
    def go(v):
        index[v] = low[v] = n[0]; n[0] += 1; stack.append(v); on.add(v)
        for w in sorted(edges.get(v, ())):
            if w not in index:
                go(w); low[v] = min(low[v], low[w])
            elif w in on:
                low[v] = min(low[v], index[w])
        if low[v] == index[v]:
            part = []
            while True:
                w = stack.pop(); on.discard(w); part.append(w)
                if w == v: break
            if len(part) > 1: out.append(sorted(part))
    for v in sorted(edges):
        if v not in index: go(v)
    return out

def main(args):
    verbose = "-v" in args
    for root in (a for a in args if a != "-v"):
        crate = Crate(root)
        edges = crate.edges()
        name = lambda m: str(crate.files[m].relative_to(crate.src))
        found = sccs(edges)
        tops = {}
        for a, outs in edges.items():
            for b in outs:
                if a[:1] != b[:1]:
                    tops.setdefault(a[:1], set()).add(b[:1])
        top_found = sccs(tops)
        print(f"{root}: {len(edges)} files, {sum(map(len, found))} in {len(found)} cycles; "
              f"by top-level module: {sum(map(len, top_found))} in {len(top_found)}")
        for part in found:
            print("  files:", ", ".join(map(name, part)))
            if verbose:
                for a in part:
                    print(f"    {name(a)} → {', '.join(name(b) for b in sorted(edges[a]) if b in part)}")
        for part in top_found:
            print("  top:  ", ", ".join("::".join(m) or "(root)" for m in part))
            if verbose:
                for a in part:
                    for b in part:
                        hits = sorted({(name(x), name(y)) for x, o in edges.items() if x[:1] == a for y in o if y[:1] == b} ) if a != b else []
                        if hits: print(f"    {a[0] if a else '(root)'} → {b[0] if b else '(root)'}: " + "; ".join(f"{x}→{y}" for x, y in hits))

main(sys.argv[1:])
