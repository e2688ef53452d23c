/*
 * source_map.c
 *	  From referral.source to a Source: which column of an attached table
 *	  means what, kept per session.
 *
 *	  Columns are registered by name and number. A name that exists counts, so
 *	  that a restored dump, where numbers shift, is read right; where the name
 *	  is gone the number tells what the column is called now. Whatever has
 *	  moved is recorded again, so that names and numbers never both go stale.
 *
 *	  An entry of the cache becomes valid last, so an error half-way leaves a
 *	  harmless one. Invalidation only clears the flag: the trigger that is
 *	  running may still hold the entry, and does until its rows are converted.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "source.h"

typedef struct SourceKey
{
	Oid			relid;			/* the relation whose rows are read */
	int64		program_id;
	int64		source_id;
} SourceKey;

typedef struct SourceEntry
{
	SourceKey	key;
	bool		valid;
	MemoryContext context;		/* of the texts in source */
	Source		source;
} SourceEntry;

/* A row of referral.source as read. */
typedef struct Registered
{
	Oid			relation;
	Oid			numbered_in;	/* the relation that number[] was read from */
	char	   *name[SOURCE_ROLES]; /* NULL = not named */
	int16		number[SOURCE_ROLES];
	int64		unit_micro;
	text	   *id_prefix;
	text	   *time_zone;
} Registered;

static const char *const role_name[SOURCE_ROLES] = {
	"user_id", "amount", "payment_id", "base", "kind", "occurred_at", "paid_when",
	"refunded", "refund_id", "reason"
};

static HTAB *entries = NULL;
static Oid	program_table = InvalidOid; /* its time_zone is part of an entry */
static uint64 forgotten = 0;	/* messages so far */
static SPIPlanPtr read_plan = NULL;
static SPIPlanPtr record_plan = NULL;

static void
forget(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS scan;
	SourceEntry *entry;

	forgotten++;
	hash_seq_init(&scan, entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (relid == InvalidOid || relid == entry->key.relid ||
			relid == entry->source.relation || relid == program_table)
			entry->valid = false;
	}
}

static void
make_cache(void)
{
	HASHCTL		ctl = {
		.keysize = sizeof(SourceKey),
		.entrysize = sizeof(SourceEntry)
	};

	entries = hash_create("referral sources", 16, &ctl, HASH_ELEM | HASH_BLOBS);
	CacheRegisterRelcacheCallback(forget, (Datum) 0);
}

/*
 * Who owns the books; sources write them with his rights, because the role
 * that writes the application's own table needs none on ours.
 */
Oid
source_books_owner(void)
{
	Oid			schema = get_namespace_oid("referral", true);
	Oid			payment = get_relname_relid("payment", schema);
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(payment));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				errcode(MAKE_SQLSTATE('R', 'F', '0', '0', '5')),
				errmsg("not_installed"),
				errdetail("The tables of the extension have not been made in this database."),
				errhint("CALL referral.install()."));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Abort of the (sub)transaction undoes this; on success the caller does. */
void
source_become(Oid owner, int flags, Oid *was_user, int *was_context)
{
	GetUserIdAndSecContext(was_user, was_context);
	SetUserIdAndSecContext(owner, *was_context | SECURITY_LOCAL_USERID_CHANGE | flags);
}

static void
not_attached(Oid relid, int64 program_id)
{
	ereport(ERROR,
			errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			errmsg("table is not attached"),
			errdetail("A trigger feeds the books from table %s, but the table is not attached to program %lld by that trigger.",
					  quote_identifier(get_rel_name(relid)), (long long) program_id),
			errhint("Drop the trigger; tables are attached by referral.attach()."));
}

static SPIPlanPtr
keep_plan(SPIPlanPtr *kept, const char *text, int nargs, Oid *types)
{
	if (*kept == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(text, nargs, types);

		if (plan == NULL)
			elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
		SPI_keepplan(plan);
		*kept = plan;
	}
	return *kept;
}

/*
 * Reads what attach() wrote. By the latest snapshot: a transaction at
 * REPEATABLE READ may be older than the attachment whose trigger it fires.
 */
static bool
read_registered(int64 program_id, int64 source_id, Registered *it)
{
	Oid			types[] = {INT8OID, INT8OID};
	Datum		args[] = {Int64GetDatum(program_id), Int64GetDatum(source_id)};
	Datum		value[7];
	Datum	   *names;
	Datum	   *numbers;
	bool	   *absent;
	int			count;
	SPIPlanPtr	plan = keep_plan(&read_plan,
								 "SELECT s.relation, s.numbered_in, s.column_numbers, s.unit_micro, s.id_prefix, p.time_zone,"
								 " ARRAY[s.user_column, s.amount_column, s.payment_id_column, s.base_column,"
								 " s.kind_column, s.occurred_at_column, s.paid_when_column,"
								 " s.refunded_column, s.refund_id_column, s.reason_column]"
								 " FROM referral.source s JOIN referral.program p"
								 " ON p.program_id OPERATOR(pg_catalog.=) s.program_id"
								 " WHERE s.program_id OPERATOR(pg_catalog.=) $1"
								 " AND s.source_id OPERATOR(pg_catalog.=) $2", 2, types);

	if (SPI_execute_snapshot(plan, args, NULL, GetLatestSnapshot(),
							 InvalidSnapshot, true, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read referral.source");
	if (SPI_processed == 0)
		return false;
	for (int i = 0; i < 7; i++)
	{
		bool		isnull;

		value[i] = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
								 i + 1, &isnull);
		Assert(!isnull);
	}
	it->relation = DatumGetObjectId(value[0]);
	it->numbered_in = DatumGetObjectId(value[1]);
	it->unit_micro = DatumGetInt64(value[3]);
	it->id_prefix = DatumGetTextPP(value[4]);
	it->time_zone = DatumGetTextPP(value[5]);
	deconstruct_array(DatumGetArrayTypeP(value[2]), INT2OID, 2, true, TYPALIGN_SHORT,
					  &numbers, NULL, &count);
	for (int i = 0; i < SOURCE_ROLES; i++)
		it->number[i] = i < count ? DatumGetInt16(numbers[i]) : 0;
	deconstruct_array(DatumGetArrayTypeP(value[6]), NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR,
					  &names, &absent, &count);
	for (int i = 0; i < SOURCE_ROLES; i++)
		it->name[i] = absent[i] ? NULL : pstrdup(NameStr(*DatumGetName(names[i])));
	return true;
}

/*
 * Records what the columns are called and numbered now. Best effort: whoever
 * finds the row taken leaves it, and at REPEATABLE READ, where a row changed
 * meanwhile is an error, it is left to others.
 */
static void
record_columns(int64 program_id, int64 source_id, const Registered *it)
{
	Oid			types[] = {INT8OID, INT8OID, OIDOID, INT2ARRAYOID, NAMEARRAYOID};
	Datum		numbers[SOURCE_ROLES];
	Datum		names[SOURCE_ROLES];
	bool		absent[SOURCE_ROLES];
	int			dims[] = {SOURCE_ROLES};
	int			first[] = {1};
	Datum		args[5];
	SPIPlanPtr	plan;

	if (IsolationUsesXactSnapshot())
		return;
	for (int i = 0; i < SOURCE_ROLES; i++)
	{
		numbers[i] = Int16GetDatum(it->number[i]);
		absent[i] = it->name[i] == NULL;
		names[i] = absent[i] ? (Datum) 0 :
			DirectFunctionCall1(namein, CStringGetDatum(it->name[i]));
	}
	args[0] = Int64GetDatum(program_id);
	args[1] = Int64GetDatum(source_id);
	args[2] = ObjectIdGetDatum(it->relation);
	args[3] = PointerGetDatum(construct_array(numbers, SOURCE_ROLES, INT2OID, 2, true, TYPALIGN_SHORT));
	args[4] = PointerGetDatum(construct_md_array(names, absent, 1, dims, first, NAMEOID,
												 NAMEDATALEN, false, TYPALIGN_CHAR));
	plan = keep_plan(&record_plan,
					 "UPDATE referral.source s SET numbered_in = $3, column_numbers = $4,"
					 " user_column = ($5)[1], amount_column = ($5)[2], payment_id_column = ($5)[3],"
					 " base_column = ($5)[4], kind_column = ($5)[5], occurred_at_column = ($5)[6],"
					 " paid_when_column = ($5)[7], refunded_column = ($5)[8],"
					 " refund_id_column = ($5)[9], reason_column = ($5)[10]"
					 " FROM (SELECT f.program_id, f.source_id FROM referral.source f"
					 " WHERE f.program_id OPERATOR(pg_catalog.=) $1 AND f.source_id OPERATOR(pg_catalog.=) $2"
					 " FOR NO KEY UPDATE SKIP LOCKED) free"
					 " WHERE s.program_id OPERATOR(pg_catalog.=) free.program_id"
					 " AND s.source_id OPERATOR(pg_catalog.=) free.source_id", 5, types);
	if (SPI_execute_plan(plan, args, NULL, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not write referral.source");
}

/* Finds each column in the table as it is now; true if any has moved. */
static bool
locate_columns(Registered *it)
{
	bool		same_table = it->numbered_in == it->relation;
	bool		moved = !same_table;

	for (int i = 0; i < SOURCE_ROLES; i++)
	{
		AttrNumber	number;

		if (it->name[i] == NULL)
			continue;
		number = get_attnum(it->relation, it->name[i]);
		if (number == InvalidAttrNumber && same_table && it->number[i] > 0)
		{
			/* not get_attname(), which knows dropped columns, too */
			HeapTuple	tuple = SearchSysCacheAttNum(it->relation, it->number[i]);

			if (HeapTupleIsValid(tuple))
			{
				it->name[i] = pstrdup(NameStr(((Form_pg_attribute) GETSTRUCT(tuple))->attname));
				number = it->number[i];
				moved = true;
				ReleaseSysCache(tuple);
			}
		}
		if (number <= 0)
			ereport(ERROR,
					errcode(ERRCODE_UNDEFINED_COLUMN),
					errmsg("source column does not exist"),
					errdetail("Table %s has no column %s, which was named as its %s.",
							  quote_identifier(get_rel_name(it->relation)),
							  quote_identifier(it->name[i]), role_name[i]),
					errhint("Call referral.detach() for the table, then attach it with columns that it has."));
		if (number != it->number[i])
			moved = true;
		it->number[i] = number;
	}
	return moved;
}

static const char *
wanted_types(SourceRole role, Oid type)
{
	switch (role)
	{
		case SOURCE_USER:
		case SOURCE_PAYMENT_ID:
		case SOURCE_REFUND_ID:
			return type == TEXTOID || type == VARCHAROID || type == BPCHAROID ||
				type == UUIDOID || type == INT2OID || type == INT4OID || type == INT8OID ?
				NULL : "text, varchar, char, uuid, smallint, integer or bigint";
		case SOURCE_AMOUNT:
		case SOURCE_BASE:
		case SOURCE_REFUNDED:
			return type == INT2OID || type == INT4OID || type == INT8OID || type == NUMERICOID ?
				NULL : "smallint, integer, bigint or numeric";
		case SOURCE_KIND:
		case SOURCE_REASON:
			return type == TEXTOID || type == VARCHAROID || type == BPCHAROID ||
				get_typtype(type) == TYPTYPE_ENUM ?
				NULL : "text, varchar, char or an enum";
		case SOURCE_PAID_WHEN:
			if (type == BOOLOID)
				return NULL;
			/* FALLTHROUGH */
		case SOURCE_OCCURRED_AT:
			return type == TIMESTAMPTZOID || type == TIMESTAMPOID || type == DATEOID ?
				NULL : role == SOURCE_PAID_WHEN ?
				"boolean, timestamptz, timestamp or date" : "timestamptz, timestamp or date";
	}
	pg_unreachable();
}

/* The column of that name in relid, which is the attached table or part of it. */
static SourceColumn
column_of(Oid relid, const char *name, SourceRole role)
{
	SourceColumn column = {.attno = get_attnum(relid, name)};
	const char *wanted;

	if (column.attno <= 0)
		elog(ERROR, "partition %u lacks a column of its parent", relid);
	column.type = getBaseType(get_atttype(relid, column.attno));
	wanted = wanted_types(role, column.type);
	if (wanted != NULL)
		ereport(ERROR,
				errcode(ERRCODE_DATATYPE_MISMATCH),
				errmsg("source column has an unsuitable type"),
				errdetail("Column %s of table %s is of type %s, but serves as %s.",
						  quote_identifier(name), quote_identifier(get_rel_name(relid)),
						  format_type_be(column.type), role_name[role]),
				errhint("It must be %s, or a domain over one of these.", wanted));
	return column;
}

static void
fill(SourceEntry *entry, Registered *it)
{
	Source	   *source = &entry->source;
	MemoryContext was;

	source->program_id = entry->key.program_id;
	source->source_id = entry->key.source_id;
	source->relation = it->relation;
	namestrcpy(&source->table, get_rel_name(it->relation));
	source->unit_micro = it->unit_micro;
	for (int i = 0; i < SOURCE_ROLES; i++)
	{
		source->column[i] = (SourceColumn) {0};
		if (it->name[i] != NULL)
			source->column[i] = column_of(entry->key.relid, it->name[i], i);
	}

	if (entry->context != NULL)
		MemoryContextReset(entry->context);
	else
		entry->context = AllocSetContextCreate(TopMemoryContext, "referral source",
											   ALLOCSET_SMALL_SIZES);
	was = MemoryContextSwitchTo(entry->context);
	source->id_prefix = DatumGetTextPCopy(PointerGetDatum(it->id_prefix));
	source->time_zone = DatumGetTextPCopy(PointerGetDatum(it->time_zone));
	MemoryContextSwitchTo(was);
}

static void
load(SourceEntry *entry)
{
	Oid			relid = entry->key.relid;
	Registered	it;
	Oid			was_user;
	int			was_context;

	SPI_connect();
	source_become(source_books_owner(), 0, &was_user, &was_context);
	/* Arguments of a trigger can be forged: its table must be the one named. */
	if (!read_registered(entry->key.program_id, entry->key.source_id, &it) ||
		(it.relation != relid &&
		 !list_member_oid(get_partition_ancestors(relid), it.relation)))
		not_attached(relid, entry->key.program_id);
	if (locate_columns(&it))
		record_columns(entry->key.program_id, entry->key.source_id, &it);
	SetUserIdAndSecContext(was_user, was_context);
	fill(entry, &it);
	program_table = get_relname_relid("program", get_namespace_oid("referral", false));
	SPI_finish();
}

/*
 * What the columns of relid mean, relid being the table attached as source_id
 * or a partition of it. Raises 42501 where it is neither.
 */
const Source *
source_find(Oid relid, int64 program_id, int64 source_id)
{
	SourceKey	key;
	SourceEntry *entry;
	bool		found;

	memset(&key, 0, sizeof(key));	/* hashed with its padding */
	key.relid = relid;
	key.program_id = program_id;
	key.source_id = source_id;
	if (entries == NULL)
		make_cache();
	entry = hash_search(entries, &key, HASH_ENTER, &found);
	if (!found)
	{
		entry->valid = false;
		entry->context = NULL;
		memset(&entry->source, 0, sizeof(Source));
	}
	if (!entry->valid)
	{
		uint64		before = forgotten;

		load(entry);
		/* What came while loading may have been read in part: not to be kept. */
		entry->valid = forgotten == before;
	}
	return &entry->source;
}

PG_FUNCTION_INFO_V1(referral_source_check);

/* referral.source_check(source, program_id, source_id) */
Datum
referral_source_check(PG_FUNCTION_ARGS)
{
	source_find(PG_GETARG_OID(0), PG_GETARG_INT64(1), PG_GETARG_INT64(2));
	PG_RETURN_VOID();
}
