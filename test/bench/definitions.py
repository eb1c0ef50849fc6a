"""The workflows that are measured, as YAML."""

HEAD = "version: '2.0'\n"


def chain(name, n, variable="v%d"):
    """n tasks in a row, each with an expression in its input and a variable that it publishes (v1, v2 ... or one)."""
    lines = [HEAD + name + ":", "  input: [n, {big: null}]", "  tasks:"]
    for i in range(1, n + 1):
        lines += ["    t%d:" % i, "      action: std.echo", "      input: {output: <%% $.n + %d %%>}" % i,
                  "      publish: {%s: <%% task().result %%>}" % (variable % i if "%" in variable else variable)]
        if i < n:
            lines.append("      on-success: t%d" % (i + 1))
    return "\n".join(lines) + "\n"


def fan(name, n):
    """One task, n after it, and a join of them all."""
    lines = [HEAD + name + ":", "  input: [n]", "  tasks:", "    first:", "      action: std.noop", "      on-success:"]
    lines += ["        - b%d" % i for i in range(1, n + 1)]
    for i in range(1, n + 1):
        lines += ["    b%d: {action: std.echo output=<%% $.n + %d %%>, on-success: last}" % (i, i)]
    lines += ["    last: {action: std.noop, join: all}"]
    return "\n".join(lines) + "\n"


def items(name):
    """with-items over as many numbers as the input says."""
    return HEAD + """%s:
  input: [n]
  tasks:
    t1:
      with-items: i in <%% range($.n) %%>
      action: std.echo output=<%% $.i %%>
""" % name


def loop(name):
    """One task that follows itself until it has run n times."""
    return HEAD + """%s:
  input: [n]
  vars: {i: 0}
  tasks:
    first: {action: std.noop, on-success: again}
    again:
      action: std.echo output=<%% $.i + 1 %%>
      publish: {i: <%% task().result %%>}
      on-success:
        - again: <%% $.i < $.n %%>
""" % name


def one(name):
    """A workflow of one task."""
    return HEAD + "%s:\n  tasks:\n    t1: {action: std.echo output=1}\n" % name


def waiting(name):
    """A task that waits for somebody to complete it."""
    return HEAD + "%s:\n  tasks:\n    t1: {action: std.async_noop}\n" % name


def http(name, n, url):
    """n requests in a row."""
    lines = [HEAD + name + ":", "  tasks:"]
    for i in range(1, n + 1):
        lines += ["    t%d:" % i, "      action: std.http url=\"%s\"" % url]
        if i < n:
            lines.append("      on-success: t%d" % (i + 1))
    return "\n".join(lines) + "\n"


def _each(name, action):
    return HEAD + """%s:
  input: [n]
  tasks:
    t1:
      with-items: i in <%% range($.n) %%>
      action: %s item=<%% $.i %%>
""" % (name, action)


def pulled(name):
    """with-items over numbers, performed by pull workers."""
    return _each(name, "work")


def entered(name):
    """with-items over numbers, performed by a function of the database."""
    return _each(name, "enter")
