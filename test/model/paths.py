"""Every way of writing payments and refunds that the contract names, and some more.

A path takes a cursor and rows of (program_id, Payment or Refund), all of one
kind, and writes them. What it may be given: one row, several, rows whose ids
are taken already. Where the planner decides in which order the rows of a
statement go in, the caller asks afterwards in which order they went.
"""

import io
from collections import namedtuple

from model import Payment, Refund

Table = namedtuple("Table", "name key columns types row")
PAYMENT = Table(
    "payment", "payment_id",
    "program_id, payment_id, user_id, amount_micro, base_micro, kind, occurred_at",
    "bigint, text, text, bigint, bigint, text, timestamptz",
    "(%s, %s, %s, %s::bigint, %s::bigint, %s, %s::timestamptz)")
REFUND = Table(
    "refund", "refund_id", "program_id, refund_id, payment_id, amount_micro, reason, occurred_at",
    "bigint, text, text, bigint, text, timestamptz",
    "(%s, %s, %s, %s::bigint, %s, %s::timestamptz)")
TABLES = {Payment: PAYMENT, Refund: REFUND}

SETUP = """
GRANT USAGE ON SCHEMA referral TO {role};
GRANT INSERT ON referral.{t.name} TO {role};
CREATE VIEW {t.name}_view AS SELECT {t.columns} FROM referral.{t.name};
CREATE TABLE app_{t.name} AS SELECT {t.columns} FROM referral.{t.name} WITH NO DATA;
CREATE FUNCTION pass_{t.name}_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO referral.{t.name} ({t.columns}) SELECT (NEW).*;
    RETURN NULL;
END $$;
CREATE TRIGGER pass_on AFTER INSERT ON app_{t.name}
    FOR EACH ROW EXECUTE FUNCTION pass_{t.name}_on();
CREATE FUNCTION write_one_by_one(rows app_{t.name}[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE r app_{t.name};
BEGIN
    FOREACH r IN ARRAY rows LOOP
        BEGIN
            INSERT INTO referral.{t.name} ({t.columns}) SELECT r.*;
        EXCEPTION WHEN numeric_value_out_of_range OR unique_violation OR datetime_field_overflow THEN
            NULL;
        END;
    END LOOP;
END $$;
"""


def setup(cursor):
    for t in TABLES.values():
        cursor.execute(SETUP.format(t=t, role=payer(cursor)))


def table(rows):
    return TABLES[type(rows[0][1])]


def values(cursor, rows):
    row = table(rows).row
    return ", ".join(cursor.mogrify(row, (program_id, *what)).decode() for program_id, what in rows)


def insert(rows):
    t = table(rows)
    return f"INSERT INTO referral.{t.name} ({t.columns}) "


def insert_values(cursor, rows):
    cursor.execute(f"{insert(rows)} VALUES {values(cursor, rows)}")


def insert_returning(cursor, rows):
    cursor.execute(f"{insert(rows)} VALUES {values(cursor, rows)} RETURNING {table(rows).key}")


def insert_select(cursor, rows):
    t = table(rows)
    numbered = ", ".join(cursor.mogrify("(%s, " + t.row[1:], (n, program_id, *what)).decode()
                         for n, (program_id, what) in enumerate(rows))
    cursor.execute(f"{insert(rows)} SELECT {t.columns}"
                   f" FROM (VALUES {numbered}) AS v (n, {t.columns}) ORDER BY n")


def copy(cursor, rows):
    def text_of(value):
        if value is None:
            return "\\N"
        text = value.isoformat() if hasattr(value, "isoformat") else str(value)
        for plain, escaped in ("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"):
            text = text.replace(plain, escaped)
        return text
    t = table(rows)
    lines = "".join("\t".join(map(text_of, (program_id, *what))) + "\n" for program_id, what in rows)
    cursor.copy_expert(f"COPY referral.{t.name} ({t.columns}) FROM STDIN", io.StringIO(lines))


def insert_with(cursor, rows):
    cursor.execute(f"WITH i AS ({insert(rows)} VALUES {values(cursor, rows)} RETURNING amount_micro)"
                   " SELECT sum(amount_micro) FROM i")


def payer(cursor):
    """The role that db.Database made for this database."""
    return f'"{cursor.connection.info.dbname}"'


def insert_as_role(cursor, rows):
    """By a role that may insert payments and refunds, and nothing else."""
    cursor.execute(f"SET ROLE {payer(cursor)}")
    try:
        insert_values(cursor, rows)
    finally:
        # In a failed transaction the rollback resets the role.
        if cursor.connection.info.transaction_status != 3:
            cursor.execute("RESET ROLE")


def insert_view(cursor, rows):
    t = table(rows)
    cursor.execute(f"INSERT INTO {t.name}_view ({t.columns}) VALUES {values(cursor, rows)}")


def insert_by_trigger(cursor, rows):
    """Each row its own nested statement inside one statement on another table."""
    t = table(rows)
    cursor.execute(f"INSERT INTO app_{t.name} ({t.columns}) VALUES {values(cursor, rows)}")


# One at a time.

def prepared(cursor, rows):
    """A statement that is planned once and run often."""
    t = table(rows)
    cursor.execute("SELECT 1 FROM pg_prepared_statements WHERE name = %s", (t.name,))
    if not cursor.fetchone():
        numbers = ", ".join(f"${n}" for n in range(1, t.types.count(",") + 2))
        cursor.execute(f"PREPARE {t.name} ({t.types}) AS {insert(rows)} VALUES ({numbers})")
    (program_id, what), = rows
    cursor.execute(f"EXECUTE {t.name} {t.row}", (program_id, *what))


def record(cursor, rows):
    (program_id, what), = rows
    arguments = ", ".join(["%s"] * len(what))
    cursor.execute(f"SELECT * FROM referral.record_{table(rows).name}({arguments},"
                   " program_id => %s)", (*what, program_id))


# Those that pass over ids that are taken.

def on_conflict(cursor, rows):
    cursor.execute(f"{insert(rows)} VALUES {values(cursor, rows)} ON CONFLICT DO NOTHING")


def merge(cursor, rows):
    t = table(rows)
    cursor.execute(f"""MERGE INTO referral.{t.name} AS t
        USING (VALUES {values(cursor, rows)}) AS v ({t.columns})
        ON (t.program_id, t.{t.key}) = (v.program_id, v.{t.key})
        WHEN MATCHED THEN DO NOTHING
        WHEN NOT MATCHED THEN INSERT ({t.columns})
            VALUES (v.{t.columns.replace(', ', ', v.')})""")


def two_inserts(cursor, rows):
    """Two inserts in one statement: the trigger fires for all of them together."""
    half = len(rows) // 2
    cursor.execute(f"""WITH first AS ({insert(rows)}
            VALUES {values(cursor, rows[:half])} ON CONFLICT DO NOTHING)
        {insert(rows)} VALUES {values(cursor, rows[half:])} ON CONFLICT DO NOTHING""")


def one_by_one(cursor, rows):
    """Each row in a block of its own that survives the refusal of the row."""
    cursor.execute(f"SELECT write_one_by_one(array_agg(v::app_{table(rows).name}))"
                   f" FROM (VALUES {values(cursor, rows)}) AS v")


SINGLE = [prepared, record]
ANY = [insert_values, insert_values, insert_returning, insert_select, copy, insert_with,
       insert_as_role, insert_view, insert_by_trigger]
SKIPPING = [on_conflict, merge, two_inserts]
UNORDERED = [merge, two_inserts]
