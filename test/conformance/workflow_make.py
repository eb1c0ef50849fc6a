"""Makes random workflows, one for each seed, whose outcome is not a matter of chance.

make(name) gives a case as run.py takes it.  Left out is what is a race in the original: commands, forced errors and
reads of globals beside a branch that still runs, variables that several branches publish and a join has to choose
from, branches that come late to a join.
"""
import json
import random

CLAUSES = ("on-success", "on-error", "on-complete")


class Task:
    """A task under construction: its keys, and what follows under which clause."""

    def __init__(self, name, **keys):
        self.name = name
        self.keys = keys
        self.next = {c: [] for c in CLAUSES}
        self.publish = {c: {} for c in CLAUSES}         # per clause: {"branch": {}, "global": {}}

    def render(self, rng):
        out = dict(self.keys)
        for c in CLAUSES:
            n, p = self.next[c], {k: v for k, v in self.publish[c].items() if v}
            if p:
                out[c] = {"publish": p}
                if n:
                    out[c]["next"] = n if len(n) > 1 or rng.random() < .5 else n[0]
                if not n and rng.random() < .3:
                    out[c]["next"] = ["noop"]
            elif n:
                plain = len(n) == 1 and isinstance(n[0], str)
                out[c] = n[0] if plain and rng.random() < .4 else n
        return out or {"action": "std.noop"}


class Scope:
    """What a branch sees: variables by type, tasks that have ended with a result by type, globals."""

    def __init__(self):
        self.vars, self.results, self.globals = {"one": "int", "word": "str"}, {}, {}
        self.own = set()                                # what may be published again

    def branch(self, fresh=False):
        """A branch's own view; what it may publish again is what it has published itself."""
        s = Scope()
        s.vars, s.results, s.globals = dict(self.vars), dict(self.results), dict(self.globals)
        s.own = set() if fresh else set(self.own)
        return s

    def of(self, kind):
        return [n for n, k in self.vars.items() if k == kind]


class Workflow:
    def __init__(self, maker, name, depth):
        self.m, self.rng, self.name, self.depth = maker, maker.rng, name, depth
        self.tasks, self.count, self.nvars = {}, 0, 0
        self.inputs, self.vars, self.defaults = [], {}, {}
        self.loose = False                              # something may still run beside what comes last

    # ---- values

    def task_name(self):
        self.count += 1
        return "%s%d" % (self.m.prefix[self.name], self.count)

    def var_name(self):
        self.nvars += 1
        return "%sv%d" % (self.m.prefix[self.name], self.nvars)

    def value(self, scope, kind=None):
        """An expression or literal, and its type."""
        rng = self.rng
        kind = kind or rng.choice(("int", "int", "str", "list", "dict", "bool", "null"))
        return getattr(self, "value_" + kind)(scope), kind

    def pick(self, options):
        return self.rng.choice([o for o in options if o is not None])

    def value_int(self, scope):
        rng, k = self.rng, self.rng.randint(0, 9)
        v = self.pick(scope.of("int") + ["one"])
        lists = scope.of("list")
        dicts = scope.of("dict")
        tasks = [t for t, kind in scope.results.items() if kind == "int"]
        return self.pick([
            k, "<%% $.%s %%>" % v, "{{ _.%s }}" % v, "<%% $.%s + %d %%>" % (v, k), "{{ _.%s * %d }}" % (v, k),
            "<%% len($.%s) %%>" % rng.choice(lists) if lists else None,
            "{{ _.%s|length }}" % rng.choice(lists) if lists else None,
            "<%% $.%s.get(a, %d) %%>" % (rng.choice(dicts), k) if dicts else None,
            "<%% $.get(nothing, %d) %%>" % k, "<% env().get(e, 5) %>" if rng.random() < .5 else "{{ env().get('e', 5) }}",
            "<%% task(%s).result %%>" % rng.choice(tasks) if tasks else None,
            "{{ task('%s').result }}" % rng.choice(tasks) if tasks else None,
            "<%% switch($.%s > 3 => 1, true => %d) %%>" % (v, k), "{%% if _.%s > 3 %%}{{ 1 }}{%% else %%}{{ %d }}{%% endif %%}" % (v, k)
            if rng.random() < .3 else None])

    def value_str(self, scope):
        v = self.pick(scope.of("int") + ["one"])
        texts = scope.of("str") + ["word"]
        anything = self.pick(list(scope.of("list") + scope.of("dict") + scope.of("null") + scope.of("bool")) + ["one"])
        return self.pick(["text", "", "5", "is <%% $.%s %%>" % v, "{{ _.%s }} of {{ _.one }}" % v, "<%% $.%s %%>" % self.rng.choice(texts),
                          "<%% $.%s + x %%>" % self.rng.choice(texts), "{{ _.%s|upper }}" % self.rng.choice(texts), "got <%% $.%s %%>." % anything,
                          "got {{ _.%s }}." % anything, "<%% str($.%s) %%>" % v, "<% $.one %> and <% $.word %>"])

    def value_list(self, scope):
        v = self.pick(scope.of("int") + ["one"])
        lists = scope.of("list")
        return self.pick([[1, 2], [], [1, "<%% $.%s %%>" % v], "<%% [1, $.%s] %%>" % v, "<% range(0, 3) %>", "{{ [1, _.%s] }}" % v,
                          "<%% $.%s + [7] %%>" % self.rng.choice(lists) if lists else None, "<% [3, 1, 2].orderBy($) %>",
                          [["<% $.one %>"], {"a": "{{ _.one }}"}]])

    def value_dict(self, scope):
        v = self.pick(scope.of("int") + ["one"])
        dicts = scope.of("dict")
        return self.pick([{"a": 1}, {"a": "<%% $.%s %%>" % v, "b": {"c": "{{ _.%s }}" % v}}, "<%% {a => $.%s} %%>" % v, "<%% dict(b => $.%s) %%>" % v,
                          "{{ {'a': _.%s} }}" % v, "<%% $.%s.set(z, 1) %%>" % self.rng.choice(dicts) if dicts else None,
                          {"<% $.one %>": 1}])

    def value_bool(self, scope):
        v = self.pick(scope.of("int") + ["one"])
        return self.pick([True, False, "<%% $.%s > 2 %%>" % v, "{{ _.%s == 1 }}" % v])

    def value_null(self, scope):
        return self.pick([None, "<% null %>", "<% $.get(nothing) %>", "{{ none }}", "<% task(nowhere) %>"])

    # ---- tasks

    def add(self, **keys):
        t = Task(self.task_name(), **keys)
        self.tasks[t.name] = t
        return t

    def result(self, t, scope, kind):
        """Publishes in some clause, and remembers what the task gave."""
        rng = self.rng
        before = scope.branch()                         # what one publishes is not seen by the next
        if kind:
            scope.results[t.name] = kind
        for _ in range(rng.choice((0, 1, 1, 2))):
            redefine = rng.random() < .2 and [v for v in scope.vars if v.startswith(self.m.prefix[self.name]) and v in scope.own]
            if kind and rng.random() < .5:
                value, k = rng.choice(("<% task().result %>", "{{ task().result }}", "<%% task(%s).result %%>" % t.name)), kind
            else:
                value, k = self.value(before)
            name = rng.choice(redefine) if redefine else self.var_name()
            self.put(t, scope, before, name, value, k)
        if rng.random() < .1:
            self.globals(t, scope, before)

    def put(self, t, scope, before, name, value, kind):
        where = self.rng.choice(("publish", "publish", "publish", "on-success", "on-complete"))
        other = self.value(before, kind)[0] if kind != "other" else 0
        # A global part without a branch part hides the plain clause.
        if where == "publish":
            t.keys.setdefault("publish", {})[name] = value
        else:
            t.publish[where].setdefault("branch", {})[name] = value
        scope.vars[name] = kind
        scope.own.add(name)
        if kind != "other" and self.rng.random() < .15:     # several clauses, one name
            t.publish[self.rng.choice(("on-success", "on-complete"))].setdefault("branch", {})[name] = other

    def globals(self, t, scope, before):
        # Types that a second publish replaces: objects are merged, which the original loses.
        where = self.rng.choice(("on-success", "on-complete"))
        name = "g" + self.var_name()
        value, kind = self.value(before, self.rng.choice(("int", "str", "list")))
        branch = {n for n in t.keys.get("publish", {})}
        t.publish[where].setdefault("global", {})[name] = value
        if where == "on-success" and branch and not t.publish[where].get("branch"):
            for n in branch:                            # hidden by the clause without a branch part
                scope.vars.pop(n, None)
        if where == "on-success" and not t.publish[where].get("branch"):
            for n in t.publish["on-complete"].get("branch", {}):
                scope.vars.pop(n, None)
        scope.globals[name] = kind

    def simple(self, scope):
        """A task that succeeds."""
        rng = self.rng
        v, kind = self.value(scope)
        r = rng.random()
        if r < .1:
            t, kind = self.add(), "null"
        elif r < .2:
            t, kind = self.add(action=rng.choice(("std.noop", "<% 'std.noop' %>", "{{ 'std.noop' }}"))), "null"
        elif r < .3 and self.m.actions:
            name, kind = rng.choice(self.m.actions)
            t = self.add(action=name, input={"x": self.value(scope, "int")[0]})
        elif r < .4:
            t, kind = self.add(action="std.echo output=%s" % rng.choice(("5", "<% $.one %>", "{{ _.one }}"))), "int"
        elif r < .48 and self.m.subs and self.depth:
            t, kind = self.sub(scope)
        elif r < .6:
            t, kind = self.items(scope)
        else:
            t = self.add(action="std.echo", input={"output": v})
        self.policies(t, scope, kind)
        if t.keys.get("keep-result") is False:
            kind = None
        self.result(t, scope, kind)
        return t

    def sub(self, scope):
        rng = self.rng
        name, kind = rng.choice(self.m.subs)
        how = rng.choice((name, name, "<%% %s %%>" % name, "{{ '%s' }}" % name)) if "." not in name else name
        keys = {"workflow": how}
        inp = {}
        if rng.random() < .7:
            inp["x"] = self.value(scope, "int")[0]
        if rng.random() < .1:
            inp["env"] = {"e": 77}
        if inp:
            keys["input"] = inp
        if rng.random() < .25:
            keys["with-items"] = "i in <% [1, 2] %>"
            keys["input"] = {"x": "<% $.i %>"}
            if rng.random() < .5:
                keys["concurrency"] = rng.choice((1, 2))
        return self.add(**keys), kind

    def items(self, scope):
        rng = self.rng
        lists = scope.of("list")
        over = rng.choice(["i in <% [1, 2, 3] %>", "i in [1, \"a\", null]", "i in <% range(0, 4) %>", "i in {{ [1, 2] }}", "i in <% {a => 1, b => 2} %>",
                           "i in <% [] %>", ["i in <% [1, 2] %>", "j in <% [3, 4] %>"], "i in <% abc %>"]
                          + (["i in <%% $.%s %%>" % rng.choice(lists)] if lists else []))
        keys = {"with-items": over, "action": "std.echo", "input": {"output": rng.choice(("<% $.i %>", "{{ _.i }}", "item <% $.i %>", {"k": "<% $.i %>"}))}}
        if isinstance(over, list):
            keys["input"] = {"output": "<% [$.i, $.j] %>"}
        if over == "i in <% [] %>":                     # task() is cached for longer than the task that asks
            return self.add(**keys), None
        if rng.random() < .4:
            keys["concurrency"] = rng.choice((1, 2, 3, "<% $.one + 1 %>", 0))
        return self.add(**keys), "other"

    def policies(self, t, scope, kind):
        rng, k = self.rng, t.keys
        if rng.random() < .03:
            k["wait-before"] = 1
        if rng.random() < .03:
            k["wait-after"] = rng.choice((1, "<% $.one %>"))
        if rng.random() < .08:
            k["retry"] = self.retry(scope)
        if rng.random() < .05:
            k["timeout"] = rng.choice((30, "<% 30 + $.one %>"))
        if rng.random() < .05:
            k["fail-on"] = rng.choice((False, "<% $.one = 2 %>", "{{ false }}"))
        if rng.random() < .05:
            k["keep-result"] = rng.choice((False, False, "<% false %>"))
        if rng.random() < .05:
            k["safe-rerun"] = rng.choice((True, False))

    def retry(self, scope):
        rng = self.rng
        if rng.random() < .2:
            return "count=%d delay=0" % rng.randint(1, 2)
        r = {"count": rng.choice((0, 1, 2, "<% $.one %>")), "delay": rng.choice((0, 0, 0, 1))}
        if rng.random() < .3:
            r["break-on"] = rng.choice(("<% $.one = 1 %>", "<% false %>", "{{ _.one > 1 }}", "<% task().result = 5 %>"))
        if rng.random() < .3:
            r["continue-on"] = rng.choice(("<% $.one = 1 %>", "<% false %>", "{{ _.one > 1 }}", "<% task().result = 5 %>"))
        return r

    def failing(self, scope):
        """A task that fails in an ordinary way."""
        rng = self.rng
        how = rng.randint(0, 6)
        data = rng.choice(("bad", {"code": 5}, [1, 2], 7))
        if how == 0:
            t = self.add(action="std.fail")
        elif how <= 2:
            t = self.add(action="std.fail", input={"error_data": data})
        elif how == 3:
            t = self.add(action="std.echo output=5", **{"fail-on": rng.choice((True, "<% $.one = 1 %>", "<% task().result = 5 %>"))})
            if rng.random() < .5:
                t.keys["publish"] = {self.var_name(): "<% task().result %>"}
        elif how == 4:
            t = self.add(**{"with-items": "i in <% [1, 2, 3] %>", "action": "std.fail", "input": {"error_data": "<% $.i %>"}})
            if rng.random() < .4:
                t.keys["concurrency"] = 1
        elif how == 5 and self.m.bad_subs and self.depth:
            t = self.add(workflow=rng.choice(self.m.bad_subs))
            if rng.random() < .3:
                t.keys["with-items"] = "i in <% [1, 2] %>"
        else:
            t = self.add(action="std.async_noop", timeout=1)
        if how != 6 and rng.random() < .25:
            t.keys["retry"] = self.retry(scope)
        if rng.random() < .5:
            name = self.var_name()
            data_known = how in (1, 2)
            value = rng.choice(("<% task().result %>", "{{ task().result }}")) if data_known and rng.random() < .5 else self.value(scope, "int")[0]
            where = rng.choice(("publish-on-error", "on-error", "on-complete"))
            if where == "publish-on-error":
                t.keys[where] = {name: value}
            else:
                t.publish[where].setdefault("branch", {})[name] = value
        return t

    def link(self, t, target, clause="on-success", guard=None):
        t.next[clause].append({target: guard} if guard is not None else target)

    # ---- shapes: each takes the tails so far (task, clause) and gives the new ones

    def enter(self, tails, target):
        for t, clause in tails:
            self.link(t, target, clause)

    def s_simple(self, tails, scope, alone):
        t = self.simple(scope)
        self.enter(tails, t.name)
        return [(t, self.rng.choice(("on-success", "on-success", "on-complete")))]

    def s_handled(self, tails, scope, alone):
        t = self.failing(scope)
        self.enter(tails, t.name)
        if self.rng.random() < .2:
            self.link(t, "noop", "on-error")
            return [(t, "on-complete")]
        handler = self.simple(scope)
        self.link(t, handler.name, "on-error")
        if self.rng.random() < .2:
            self.link(t, "noop", "on-error", "<% $.one = 1 %>")
        return [(handler, "on-success")]

    def s_choice(self, tails, scope, alone):
        t = self.simple(scope)
        self.enter(tails, t.name)
        v = self.pick(scope.of("int") + ["one"])
        k = self.rng.randint(0, 5)
        a, b = self.simple(scope.branch(fresh=True)), self.simple(scope.branch(fresh=True))
        clause = self.rng.choice(("on-success", "on-complete"))
        self.link(t, a.name, clause, "<%% $.%s > %d %%>" % (v, k))
        self.link(t, b.name, clause, self.rng.choice(("<%% $.%s <= %d %%>" % (v, k), "{{ _.%s <= %d }}" % (v, k), "<%% not ($.%s > %d) %%>" % (v, k))))
        return [(a, "on-success"), (b, "on-success")]

    def s_fork(self, tails, scope, alone):
        """Branches that meet in a join; of each it is known whether it arrives."""
        rng = self.rng
        head = self.simple(scope)
        self.enter(tails, head.name)
        n = rng.choice((2, 2, 2, 3))
        arriving = n if rng.random() < .6 else rng.randint(1, n)
        ends, merged = [], scope
        for i in range(n):
            branch = scope.branch(fresh=True)
            first = self.simple(branch)
            self.link(head, first.name)
            t = first
            if rng.random() < .3:
                [(t, _)] = self.s_simple([(t, "on-success")], branch, False)
            if rng.random() < .15 and i < arriving:
                t = self.s_handled([(t, "on-success")], branch, False)[0][0]
            ends.append((t, branch))
        join = self.add(action="std.echo output=5") if rng.random() < .5 else self.add()
        for i, (t, branch) in enumerate(ends):
            if i < arriving:
                self.link(t, join.name, rng.choice(("on-success", "on-success", "on-complete")))
                merged.vars.update(branch.vars)
            elif rng.random() < .5:                     # it names the join, and does not go there
                self.link(t, join.name, "on-success", rng.choice(("<% false %>", "<% $.one = 2 %>", "{{ false }}")))
            else:
                f = self.failing(branch)
                self.link(t, f.name)
                self.link(f, join.name, "on-success")
                self.link(f, "noop", "on-error")
        self.loose = self.loose or arriving < n
        join.keys["join"] = rng.choice(("all", n)) if arriving == n else "one" if arriving == 1 and rng.random() < .7 else arriving
        if rng.random() < .1:
            join.keys["retry"] = self.retry(scope)
        if arriving == n and rng.random() < .15:        # it succeeds or fails, but every branch arrives
            join.keys["action"] = "std.fail"
            handler = self.simple(scope)
            self.link(join, handler.name, "on-error")
            return [(handler, "on-success")]
        scope.own = set()                               # what the branches published may not be published again
        return [(join, "on-success")]

    def s_loop(self, tails, scope, alone):
        rng = self.rng
        c = self.var_name()
        start = self.add(publish={c: 0})
        self.enter(tails, start.name)
        head = self.add(action="std.echo output=<%% $.%s %%>" % c, publish={c: rng.choice(("<%% $.%s + 1 %%>" % c, "{{ _.%s + 1 }}" % c))})
        self.link(start, head.name)
        body = [(head, "on-success")]
        inner = scope.branch(fresh=True)
        for _ in range(rng.randint(0, 2)):
            body = self.s_simple(body, inner, alone)
            self.prompt(body[0][0])
        t, clause = body[0]
        k = rng.randint(1, 2)
        self.link(t, head.name, clause, "<%% $.%s < %d %%>" % (c, k))
        after = self.simple(scope)
        self.prompt(after)
        self.link(t, after.name, clause, "<%% $.%s >= %d %%>" % (c, k))
        scope.vars[c] = "int"
        return [(after, "on-success")]

    def prompt(self, t):
        """In the original, what is delayed behind a task that runs several times goes on with the context of any."""
        for k in ("wait-before", "wait-after", "retry"):
            t.keys.pop(k, None)

    def s_end(self, tails, scope):
        """A command, an error that nothing handles, or an error of the definition: only where nothing else runs."""
        rng = self.rng
        r = rng.random() if not self.loose else .3
        if r < .25:
            message = rng.choice((None, "over and <% $.one %>", "{{ _.one }} is enough", "it's all"))
            command = rng.choice(("fail", "succeed", "fail"))
            written = command if message is None else rng.choice(('%s msg="%s"', '%s(msg="%s")' if " " in message else '%s msg="%s"')) % (command, message)
            more = self.simple(scope)
            for t, clause in tails:
                t.next[clause].append({written: rng.choice(("<% $.one = 1 %>", "<% $.one = 2 %>"))} if rng.random() < .4 else written)
                if rng.random() < .5:
                    self.link(t, more.name, clause)
            if not any(more.name in map(str, t.next[c]) for t, c in tails):
                self.tasks.pop(more.name)
        elif r < .5:
            t = self.failing(scope)
            self.enter(tails, t.name)
            if rng.random() < .4:
                self.link(t, "noop", "on-error", "<% $.one = 2 %>")
            if rng.random() < .3:
                more = self.simple(scope)
                self.link(t, more.name, "on-complete")
        elif r < .75:
            self.forced(tails, scope)
        else:
            t = self.add(action="std.noop")
            self.enter(tails, t.name)
            self.link(t, "noop", "on-success")

    def forced(self, tails, scope):
        rng = self.rng
        t = rng.choice((
            lambda: self.add(action="std.echo output=<% $.nothing %>"),
            lambda: self.add(action="std.echo", input={"output": "{{ _.nothing.more }}"}),
            lambda: self.add(action="std.echo output=1 more=2"),
            lambda: self.add(action="no.such"),
            lambda: self.add(publish={"w": "<% $.nothing %>"}),
            lambda: self.add(**{"wait-before": "<% minus %>"}),
            lambda: self.add(**{"with-items": ["i in <% [1] %>", "j in <% [1, 2] %>"], "action": "std.noop"}),
            lambda: self.add(**{"with-items": "i in <% 5 %>", "action": "std.noop"}),
            lambda: self.add(**{"fail-on": "<% five %>"}),
            lambda: self.add(**{"retry": {"count": 1, "delay": 0, "continue-on": "<% $.nothing %>"}})))()
        self.enter(tails, t.name)
        if rng.random() < .4:
            self.link(t, "noop", "on-error")
        if rng.random() < .2:
            self.link(t, "noop", "on-success", "<% $.nothing %>")

    # ---- the whole

    def build_direct(self, bad=False):
        rng = self.rng
        scope = Scope()
        if rng.random() < .3:
            name = self.var_name()
            self.vars[name], scope.vars[name] = self.value(scope)
        tails = []
        shapes = [self.s_simple, self.s_simple, self.s_handled, self.s_choice, self.s_fork, self.s_loop]
        for _ in range(rng.choice((1, 1, 2)) if self.depth == 2 else 1):
            tails = rng.choice(shapes)(tails, scope, True)
        if bad and not self.loose:
            last = self.add(action="std.noop")
            self.enter(tails, last.name)
            self.link(last, 'fail msg="a bad sub-workflow"', "on-complete")
        elif rng.random() < .45:
            self.s_end(tails, scope)
        return self.document(scope)

    def build_reverse(self):
        rng = self.rng
        scope = Scope()
        names = []
        failing = rng.random() < .25
        for i in range(rng.randint(2, 6)):
            t = self.simple(scope.branch(fresh=True)) if not (failing and i == 1) else self.add(action="std.fail")
            for c in CLAUSES:
                t.next[c], t.publish[c] = [], {}
            if t.keys.get("with-items") == "i in <% [] %>":     # the original forgets what comes after it
                t.keys["with-items"] = "i in <% [5] %>"
            if names:
                t.keys["requires"] = rng.sample(names, rng.randint(0, min(2, len(names)))) or None
                if not t.keys["requires"]:
                    del t.keys["requires"]
            t.keys.setdefault("action", "std.noop") if "workflow" not in t.keys else None
            names.append(t.name)
        self.target = rng.choice(names[1:])
        doc = self.document(scope)
        doc["type"] = "reverse"
        doc.pop("output", None)
        return doc

    def document(self, scope):
        rng = self.rng
        doc = {"input": [{"one": 1}, {"word": "w"}, {"x": 4}]}
        if rng.random() < .2:
            doc["description"] = "made at random"
        vars_ = {"vv": rng.choice(("<% $.one + 1 %>", "{{ _.word }}", [1, {"k": "<% $.x %>"}]))} if rng.random() < .3 else {}
        vars_.update(self.vars)
        if vars_:
            doc["vars"] = vars_
        if rng.random() < .5:
            out = {}
            for name in rng.sample(sorted(scope.vars), min(len(scope.vars), rng.randint(1, 3))):
                out["o_" + name] = rng.choice(("<%% $.get(%s) %%>" % name, "{{ _.get('%s') }}" % name, ["<%% $.get(%s) %%>" % name]))
            for name in scope.globals:
                out["g_" + name] = rng.choice(("<%% $.get(%s) %%>" % name, "<%% global(%s) %%>" % name, "{{ global('%s') }}" % name))
            if rng.random() < .05 and not self.loose:
                out["bad"] = "<% $.nothing %>"
            doc["output"] = out
        if rng.random() < .3:
            doc["output-on-error"] = {"was": rng.choice((1, "<% $.one %>", "<% $.nothing %>"))}
        if self.defaults_wanted():
            doc["task-defaults"] = self.task_defaults()
        doc["tasks"] = {t.name: t.render(rng) for t in self.tasks.values()}
        return doc

    def defaults_wanted(self):
        return self.rng.random() < .12

    def task_defaults(self):
        rng = self.rng
        d = {}
        if rng.random() < .5:
            d["retry"] = {"count": 1, "delay": 0}
        if rng.random() < .3:
            d["timeout"] = 30
        if rng.random() < .3:
            d["concurrency"] = 1
        if rng.random() < .3:
            d["on-error"] = ["noop"]
        return d or {"safe-rerun": True}


class Maker:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.seed = seed
        self.prefix, self.actions, self.subs, self.bad_subs = {}, [], [], []

    def make(self):
        rng = self.rng
        definitions, environments = [], []
        if rng.random() < .3:
            definitions.append({"kind": "action", "yaml": dump(self.adhoc())})
        workflows = {}
        for i in range(rng.choice((0, 0, 1, 1, 2))):
            name = "sub%d" % i
            self.prefix[name] = "abc"[i]
            bad = rng.random() < .3
            w = Workflow(self, name, i)
            workflows[name] = w.build_direct(bad)
            if not bad and "output" not in workflows[name] and rng.random() < .7:
                workflows[name]["output"] = {"r": "<% $.x %>"}
            self.subs.append((name, "other"))
            if bad:
                self.bad_subs.append(name)
                self.subs.pop()
        self.prefix["main"] = "t"
        w = Workflow(self, "main", 2)
        reverse = rng.random() < .1
        workflows["main"] = w.build_reverse() if reverse else w.build_direct()
        book = rng.random() < .1
        if book:
            definitions.append({"kind": "workbook", "yaml": dump({"name": "wb", "workflows": workflows})})
        elif rng.random() < .5:
            definitions.append({"kind": "workflow", "yaml": dump(workflows)})
        else:
            definitions += [{"kind": "workflow", "yaml": dump({n: x})} for n, x in workflows.items()]
        params = {}
        if rng.random() < .25:
            params["env"] = {"e": rng.choice((9, "<% 1 + 1 %>"))}
            if rng.random() < .3:
                params["env"]["__actions"] = {"std.echo": {"output": "default", "delay": 0}}
        elif rng.random() < .1:
            environments.append({"name": "stored", "variables": {"e": 8}})
            params["env"] = "stored"
        if reverse:
            params["task_name"] = w.target
        start = {"workflow": "wb.main" if book else "main", "input": rng.choice(({}, {"one": 1}, {"x": 2, "word": "x"})), "params": params}
        return {"name": "random %d" % self.seed, "definitions": definitions, "environments": environments, "start": start}

    def adhoc(self):
        rng = self.rng
        out = {}
        out["inc"] = {"input": ["x", {"by": 1}], "base": "std.echo", "base-input": {"output": rng.choice(("<% $.x + $.by %>", "{{ _.x + _.by }}"))}}
        self.actions.append(("inc", "int"))
        if rng.random() < .5:
            out["wrap"] = {"input": ["x"], "base": "inc", "base-input": {"x": "<% $.x %>", "by": 2}, "output": {"v": "<% $ %>"}}
            self.actions.append(("wrap", "dict"))
        if rng.random() < .5:
            out["line"] = {"input": [{"x": 5}], "base": "std.echo output=<% $.x %>", "output": "<% $ * 2 %>"}
            self.actions.append(("line", "int"))
        return out


def dump(definitions):
    """YAML: blocks down to a task, JSON below."""
    lines = ["version: '2.0'"]

    def put(d, indent, depth):
        for k, v in d.items():
            if isinstance(v, dict) and v and depth > 0 and k not in ("publish", "input", "output", "base-input", "vars", "output-on-error", "task-defaults"):
                lines.append(" " * indent + json.dumps(k)[1:-1] + ":")
                put(v, indent + 2, depth - 1)
            else:
                lines.append(" " * indent + json.dumps(k)[1:-1] + ": " + json.dumps(v, ensure_ascii=False))
    put(definitions, 0, 4 if "workflows" in definitions else 3)
    return "\n".join(lines) + "\n"


class Control:
    """A small workflow of tasks that somebody has to complete, and what is done to it, with a rest after each step."""

    def __init__(self, seed):
        self.rng, self.seed, self.tasks, self.names, self.subs = random.Random(seed), seed, {}, [], {}

    def unit(self, follow, alone=True):
        """One task that leads to `follow`; what may be completed goes to names.  What starts beside a pause is a matter of order."""
        rng, name = self.rng, "t%d" % (len(self.tasks) + 1)
        kind = rng.choice(("async", "async", "handled", "retry", "items", "window", "sub", "plain", "pause" if alone else "plain"))
        t = self.tasks[name] = {"action": "std.async_noop"}
        if follow:
            t[rng.choice(("on-success", "on-success", "on-complete"))] = follow
        self.names.append(name)
        if kind == "handled":
            handler = "h" + name
            t["on-error"] = [handler]
            self.tasks[handler] = {"publish": {"v" + handler: 1}}
        elif kind == "retry":
            t["retry"] = {"count": rng.randint(1, 2), "delay": 0}
        elif kind in ("items", "window"):
            t["with-items"] = "i in [1, 2, 3]"
            if kind == "window":
                t["concurrency"] = rng.randint(1, 2)
        elif kind == "sub":
            sub = "s" + name
            self.subs[sub] = {"output": {"r": "<% $.get(x) %>"}, "tasks": {"a" + name: {"action": "std.async_noop", "publish": {"x": 1}, "on-success": ["b" + name]},
                                                                     "b" + name: rng.choice(({"action": "std.noop"}, {"action": "std.async_noop"}))}}
            del t["action"]
            t["workflow"] = sub
            self.names.remove(name)
            self.names += ["a" + name, "b" + name]
        elif kind in ("plain", "pause"):
            t["action"] = "std.noop"
            self.names.remove(name)
            if kind == "pause":
                t["pause-before"] = True
        if rng.random() < .5 and "with-items" not in t and kind not in ("sub", "plain", "pause"):
            t["publish"] = {"v" + name: "<% task().result %>"}
        return name

    def make(self):
        rng = self.rng
        last = self.unit(None)
        for _ in range(rng.randint(0, 2)):
            if rng.random() < .4 and self.tasks[last].get("join") is None and "with-items" not in self.tasks[last]:
                self.tasks[last]["join"] = "all"
                last = self.fork(last)
            else:
                last = self.unit([last])
        steps = []
        for _ in range(rng.randint(3, 8)):
            steps.append(self.step())
            steps.append({"rest": True})
        definitions = [{"kind": "workflow", "yaml": dump({n: x})} for n, x in list(self.subs.items()) + [("main", {"tasks": self.tasks})]]
        return {"name": "control %d" % self.seed, "definitions": definitions, "start": {"workflow": "main"}, "steps": [{"rest": True}] + steps}

    def fork(self, join):
        a, b = self.unit([join], False), self.unit([join], False)
        if self.rng.random() < .5:
            name = "t%d" % (len(self.tasks) + 1)
            self.tasks[name] = {"on-success": [a, b]}
            return name
        return a

    def step(self):
        rng = self.rng
        r, names = rng.random(), self.names or ["t1"]
        # A delay that other steps could meet would be a race: results come at rest.
        if r < .45:
            return {"complete": rng.choice(names), "result": rng.choice((1, "x", {"k": [1]}, None))}
        if r < .65:
            return {"fail": rng.choice(names), "error": rng.choice((1, "x", {"k": 1}))}
        if r < .69:
            return {"cancel": rng.choice(names)}
        if r < .8:
            return rng.choice(({"pause": True}, {"resume": True}))
        if r < .85:
            return {"stop": rng.choice(("CANCELLED", "CANCELLED", "ERROR", "SUCCESS"))}
        if r < .9:
            return {"resume": True}
        name = rng.choice(sorted(self.tasks))
        return {"rerun": name, "reset": "with-items" not in self.tasks[name] or rng.random() < .5}


def make(name):
    """The case of a name: "random 7", "control 7"."""
    kind, seed = name.split()
    return {"random": Maker, "control": Control}[kind](int(seed)).make()
