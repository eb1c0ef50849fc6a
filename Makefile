# mistral: build, install, demonstrate, test.
#
#   make            builds mistral.so and the install script
#   make install    installs them, mistral_io, mistral_http, and the header for modules, where pg_config says
#   make demo       installs what is missing, builds, and shows the main job (examples/salary.yaml)
#   make demo-salary   shows it with real peers, some of which are killed (examples/salary)
#   make test       everything that proves it works
#   make bench      measures everything that docs/performance.md speaks of, on a private server, half an hour
#   make bench-quick   the most of it, in two minutes
#   make bench-expressions   expressions beside python3-yaql and python3-jinja2, in C and through SQL
#   make bench-peers   other engines beside this one, on the same server
#   make fuzz       the parsers and evaluators under libFuzzer, FUZZ_SECONDS=60 for each (docs/internals.md)
#
# PG_CONFIG chooses the server, as with every PGXS extension.

EXTENSION    = mistral
EXTVERSION   = 0.1
MODULE_big   = mistral
OBJS         = $(patsubst %.c,%.o,$(sort $(filter-out src/http/% src/io/% src/modules/%,$(wildcard src/*.c src/*/*.c))))
HEADERS      = src/io/mistral_action.h
INSTALL_SQL  = $(EXTENSION)--$(EXTVERSION).sql
DATA_built   = $(INSTALL_SQL)
EXTRA_CLEAN  = $(INSTALL_SQL) mistral_io mistral_http mistral_amqp.so mistral_ssh.so

# The programs that run modules and send HTTP requests: plain C, nothing of PostgreSQL.
IO_BASE      = src/base/channel.c src/base/egress.c src/base/plain_json.c
IO_SOURCES   = $(sort $(wildcard src/io/*.c)) $(IO_BASE)
HTTP_SOURCES = $(sort $(wildcard src/http/*.c)) src/io/confine.c src/base/http_wire.c src/base/plain_url.c $(IO_BASE)
IO_CC        = $(CC) $(filter -O% -g%,$(CFLAGS)) -Wall $(PG_CFLAGS) -Isrc

# Its modules, each where its library is there.
IO_MODULES   = $(shell printf '\043include <amqp.h>\n' | $(CC) -E -x c - >/dev/null 2>&1 && echo mistral_amqp.so) \
               $(shell printf '\043include <libssh2.h>\n' | $(CC) -E -x c - >/dev/null 2>&1 && echo mistral_ssh.so)

# The install script's parts, in the order in which they depend on each other.
SQL_PARTS    = $(sort $(wildcard sql/[0-9][0-9]_*.sql))

PG_CONFIG   ?= pg_config
# Before version 16 PostgreSQL leaves PGDLLEXPORT empty, and everything would be hidden.
PG_CPPFLAGS  = -Isrc -isystem $(shell $(PG_CONFIG) --includedir-server) \
               '-DPGDLLEXPORT=__attribute__((visibility("default")))'
PG_CFLAGS    = -std=gnu17 -fvisibility=hidden -Wextra -Werror -Wno-unused-parameter \
               -Wno-missing-field-initializers -Wno-sign-compare
SHLIB_LINK   = -lyaml -lpcre2-8 -lcrypto -lm

# Bitcode for the JIT compiler gains nothing here and needs a second compiler.
override with_llvm := no

ifeq (,$(filter demo demo-salary test fuzz deps bench bench-quick bench-expressions bench-peers,$(MAKECMDGOALS)))
PGXS        := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

HEADERS_ALL := $(wildcard src/*.h src/*/*.h)
$(OBJS): $(HEADERS_ALL)

all: mistral_io mistral_http $(IO_MODULES)
mistral_io: $(IO_SOURCES) $(HEADERS_ALL) Makefile
	$(IO_CC) -fPIE -pie -o $@ $(IO_SOURCES) -ldl -lpthread
mistral_http: $(HTTP_SOURCES) $(HEADERS_ALL) Makefile
	$(IO_CC) -fPIE -pie -o $@ $(HTTP_SOURCES) -lcurl -lpthread
mistral_amqp.so: $(wildcard src/modules/amqp_*.c) src/modules/file_name.c src/base/plain_json.c $(HEADERS_ALL) Makefile
	$(IO_CC) -fPIC -shared -o $@ $(filter %.c,$^) -lrabbitmq -lssl -lcrypto -lpthread
mistral_ssh.so: $(wildcard src/modules/ssh_*.c) src/modules/file_name.c src/base/plain_json.c $(HEADERS_ALL) Makefile
	$(IO_CC) -fPIC -shared -o $@ $(filter %.c,$^) -lssh2 -lpthread

install: install-io
install-io: mistral_io mistral_http $(IO_MODULES) installdirs
	for p in mistral_io mistral_http; do $(INSTALL_PROGRAM) "$$p" '$(DESTDIR)$(pkglibdir)/' || exit 1; done
	for m in $(IO_MODULES); do $(INSTALL_SHLIB) "$$m" '$(DESTDIR)$(pkglibdir)/' || exit 1; done
uninstall: uninstall-io
uninstall-io:
	rm -f $(addprefix '$(DESTDIR)$(pkglibdir)'/,mistral_io mistral_http $(IO_MODULES))

$(INSTALL_SQL): $(SQL_PARTS) Makefile
	@printf '\\echo Use "CREATE EXTENSION mistral" to load this file. \\quit\n' > $@
	cat $(SQL_PARTS) >> $@
endif

.PHONY: install-io uninstall-io demo demo-salary test fuzz deps bench bench-quick bench-expressions bench-peers
demo:
	bash examples/demo.sh
demo-salary:
	bash examples/salary/run.sh
test:
	bash test/run.sh
bench:
	bash test/bench/run.sh
bench-quick:
	bash test/bench/run.sh --quick
bench-expressions:
	bash test/bench/expressions.sh
bench-peers:
	bash test/bench/peers/run.sh
fuzz:
	FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) bash test/fuzz/run.sh
deps:
	bash test/lib/deps.sh
