"""Every way of writing payments that the contract names, and some more.

A path takes a cursor and rows of (program_id, Payment) and writes them. What
it may be given: one row, several, rows whose ids are taken already. Where the
planner decides in which order the rows of a statement go in, the caller asks
afterwards in which order they went.
"""

import io

COLUMNS = "program_id, payment_id, user_id, amount_micro, base_micro, kind, occurred_at"
TYPES = "bigint, text, text, bigint, bigint, text, timestamptz"
ROW = "(%s, %s, %s, %s::bigint, %s::bigint, %s, %s::timestamptz)"

SETUP = f"""
GRANT USAGE ON SCHEMA referral TO {{role}};
GRANT INSERT ON referral.payment TO {{role}};
CREATE VIEW payment_view AS SELECT {COLUMNS} FROM referral.payment;
CREATE TABLE app_payment AS SELECT {COLUMNS} FROM referral.payment WITH NO DATA;
CREATE FUNCTION pass_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO referral.payment ({COLUMNS}) SELECT (NEW).*;
    RETURN NULL;
END $$;
CREATE TRIGGER pass_on AFTER INSERT ON app_payment FOR EACH ROW EXECUTE FUNCTION pass_on();
CREATE FUNCTION pay_one_by_one(payments app_payment[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE p app_payment;
BEGIN
    FOREACH p IN ARRAY payments LOOP
        BEGIN
            INSERT INTO referral.payment ({COLUMNS}) SELECT p.*;
        EXCEPTION WHEN numeric_value_out_of_range OR unique_violation OR datetime_field_overflow THEN
            NULL;
        END;
    END LOOP;
END $$;
"""


def setup(cursor):
    cursor.execute(SETUP.format(role=payer(cursor)))


def values(cursor, rows):
    return ", ".join(cursor.mogrify(ROW, (program_id, *payment)).decode()
                     for program_id, payment in rows)


def insert_values(cursor, rows):
    cursor.execute(f"INSERT INTO referral.payment ({COLUMNS}) VALUES {values(cursor, rows)}")


def insert_returning(cursor, rows):
    cursor.execute(f"INSERT INTO referral.payment ({COLUMNS}) VALUES {values(cursor, rows)}"
                   " RETURNING payment_id")


def insert_select(cursor, rows):
    numbered = ", ".join(cursor.mogrify("(%s, " + ROW[1:], (n, program_id, *payment)).decode()
                         for n, (program_id, payment) in enumerate(rows))
    cursor.execute(f"INSERT INTO referral.payment ({COLUMNS}) SELECT {COLUMNS}"
                   f" FROM (VALUES {numbered}) AS v (n, {COLUMNS}) ORDER BY n")


def copy(cursor, rows):
    def field(value):
        if value is None:
            return "\\N"
        text = value.isoformat() if hasattr(value, "isoformat") else str(value)
        for plain, escaped in ("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"):
            text = text.replace(plain, escaped)
        return text
    lines = "".join("\t".join(map(field, (program_id, *payment))) + "\n"
                    for program_id, payment in rows)
    cursor.copy_expert(f"COPY referral.payment ({COLUMNS}) FROM STDIN", io.StringIO(lines))


def insert_with(cursor, rows):
    cursor.execute(f"WITH i AS (INSERT INTO referral.payment ({COLUMNS})"
                   f" VALUES {values(cursor, rows)} RETURNING amount_micro)"
                   " SELECT sum(amount_micro) FROM i")


def payer(cursor):
    """The role that db.Database made for this database."""
    return f'"{cursor.connection.info.dbname}"'


def insert_as_role(cursor, rows):
    """By a role that may insert payments and nothing else."""
    cursor.execute(f"SET ROLE {payer(cursor)}")
    try:
        insert_values(cursor, rows)
    finally:
        # In a failed transaction the rollback resets the role.
        if cursor.connection.info.transaction_status != 3:
            cursor.execute("RESET ROLE")


def insert_view(cursor, rows):
    cursor.execute(f"INSERT INTO payment_view ({COLUMNS}) VALUES {values(cursor, rows)}")


def insert_by_trigger(cursor, rows):
    """Each row its own nested statement inside one statement on another table."""
    cursor.execute(f"INSERT INTO app_payment ({COLUMNS}) VALUES {values(cursor, rows)}")


# One at a time.

def prepared(cursor, rows):
    """A statement that is planned once and run often."""
    cursor.execute("SELECT 1 FROM pg_prepared_statements WHERE name = 'pay'")
    if not cursor.fetchone():
        cursor.execute(f"PREPARE pay ({TYPES}) AS INSERT INTO referral.payment ({COLUMNS})"
                       " VALUES ($1, $2, $3, $4, $5, $6, $7)")
    (program_id, payment), = rows
    cursor.execute("EXECUTE pay (%s, %s, %s, %s, %s, %s, %s)", (program_id, *payment))


def record(cursor, rows):
    (program_id, payment), = rows
    cursor.execute("SELECT * FROM referral.record_payment(%s, %s, %s, %s, %s, %s,"
                   " program_id => %s)", (*payment, program_id))


# Those that pass over ids that are taken.

def on_conflict(cursor, rows):
    cursor.execute(f"INSERT INTO referral.payment ({COLUMNS}) VALUES {values(cursor, rows)}"
                   " ON CONFLICT DO NOTHING")


def merge(cursor, rows):
    cursor.execute(f"""MERGE INTO referral.payment AS p
        USING (VALUES {values(cursor, rows)}) AS v ({COLUMNS})
        ON (p.program_id, p.payment_id) = (v.program_id, v.payment_id)
        WHEN MATCHED THEN DO NOTHING
        WHEN NOT MATCHED THEN INSERT ({COLUMNS})
            VALUES (v.{COLUMNS.replace(', ', ', v.')})""")


def two_inserts(cursor, rows):
    """Two inserts in one statement: the trigger fires for all of them together."""
    half = len(rows) // 2
    cursor.execute(f"""WITH first AS (INSERT INTO referral.payment ({COLUMNS})
            VALUES {values(cursor, rows[:half])} ON CONFLICT DO NOTHING)
        INSERT INTO referral.payment ({COLUMNS})
            VALUES {values(cursor, rows[half:])} ON CONFLICT DO NOTHING""")


def one_by_one(cursor, rows):
    """Each row in a block of its own that survives the refusal of the row."""
    cursor.execute("SELECT pay_one_by_one(array_agg(v::app_payment))"
                   f" FROM (VALUES {values(cursor, rows)}) AS v")


SINGLE = [prepared, record]
ANY = [insert_values, insert_values, insert_returning, insert_select, copy, insert_with,
       insert_as_role, insert_view, insert_by_trigger]
SKIPPING = [on_conflict, merge, two_inserts]
UNORDERED = [merge, two_inserts]
