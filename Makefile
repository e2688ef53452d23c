# referral: build, install and check. `make demo` and `make test` are the two
# commands of the README; the rest is for who works on the code.

EXTENSION = referral
EXTVERSION = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" referral.control)

# In the order in which data flows; order is meaning.
CODE = guard types session config members clicks review attribution payments \
       refunds settlement payouts sources billing reading rewards statement operators \
       events explain keys erase proof_intake proof_rewards proof_settlement \
       proof_counters proof retention upkeep install api api_operators http openapi \
       contracts/triport contracts/intotes contracts/crawlora contracts/baanx \
       contracts/contract grants
CODE_SQL = $(CODE:%=sql/code/%.sql)
MODEL_SQL = $(sort $(wildcard sql/model/*.sql))

DATA_built = sql/referral--$(EXTVERSION).sql
MODULE_big = referral
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
PG_CFLAGS = -std=gnu11
PG_CPPFLAGS = -DREFERRAL_VERSION='"$(EXTVERSION)"'

REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test --load-extension=referral
ISOLATION = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=referral
EXTRA_CLEAN = sql/referral--*.sql results output_iso regression.diffs regression.out

PG_CONFIG ?= pg_config
ifneq ($(shell command -v $(PG_CONFIG) 2>/dev/null),)
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)
endif

$(OBJS): $(wildcard src/*.h)

sql/referral--$(EXTVERSION).sql: $(CODE_SQL) $(MODEL_SQL) scripts/build-sql
	scripts/build-sql $(CODE_SQL) > $@

# Both install what the machine lacks and run servers of their own.
.PHONY: test demo demo-stop
test:
	scripts/test $(SUITE)
demo:
	scripts/demo start $(PAYMENTS)
demo-stop:
	scripts/demo stop

# Against the opponents in bench/; BENCH names the workloads, all by default.
.PHONY: bench
bench:
	bench/run $(BENCH)

# For who works on the code: analyzers, and what takes too long for `make test`.
# PAYMENTS is a file of payments, HISTORIES, ROUNDS, CRASHES, CANCELS and REQUESTS
# are how many.
.PHONY: lint torture
lint:
	scripts/lint
torture:
	scripts/test torture
