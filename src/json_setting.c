/*
 * json_setting.c
 *	  What PostgREST says of a request: settings that hold JSON objects.
 *
 * Anybody can SET them to anything.  PL/pgSQL could refuse what is no JSON only
 * by a subtransaction, several for each request.
 */
#include "json_setting.h"

#include "common/jsonapi.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"

/* Deeper than a request's headers and a token's claims ever are. */
#define MAX_DEPTH	200

/* Fields that are looked for at the top of an object. */
typedef struct Search
{
	JsonLexContext *lex;
	JsonField  *fields;
	int			nfields;
	JsonField  *found;			/* whose value comes next */
	bool		is_object;
} Search;

/*
 * Does the text nest too deep?  The parser recurses, and raises an error where
 * it runs out of stack.
 */
static bool
is_too_deep(const char *text)
{
	int			depth = 0;
	bool		in_string = false;

	for (const char *c = text; *c; c++)
	{
		if (in_string)
		{
			if (*c == '\\' && c[1])
				c++;
			else if (*c == '"')
				in_string = false;
		}
		else if (*c == '"')
			in_string = true;
		else if (*c == '[' || *c == '{')
		{
			if (++depth > MAX_DEPTH)
				return true;
		}
		else if (*c == ']' || *c == '}')
			depth--;
	}
	return false;
}

static void
object_start(void *state)
{
	Search	   *search = state;

	if (search->lex->lex_level == 0)
		search->is_object = true;
	search->found = NULL;
}

static void
array_start(void *state)
{
	((Search *) state)->found = NULL;
}

static void
field_start(void *state, char *name, bool isnull)
{
	Search	   *search = state;

	if (search->lex->lex_level != 1)
		return;
	search->found = NULL;
	for (int i = 0; i < search->nfields; i++)
	{
		if (strcmp(name, search->fields[i].name) != 0)
			continue;
		search->found = &search->fields[i];
		search->found->is_there = true;
		search->found->value = NULL;	/* the last of a name counts */
	}
}

static void
scalar(void *state, char *token, JsonTokenType type)
{
	Search	   *search = state;

	if (!search->found)
		return;
	search->found->is_string = type == JSON_TOKEN_STRING;
	search->found->value = type == JSON_TOKEN_NULL ? NULL : token;
	search->found = NULL;
}

/*
 * Look for fields at the top of the object that a setting holds; returns false
 * where it holds none.  The value of an object or an array is not told.
 */
bool
json_setting_fields(const char *setting, JsonField *fields, int nfields)
{
	const char *value = GetConfigOption(setting, true, false);
	Search		search = {.fields = fields,.nfields = nfields};
	JsonSemAction actions = {
		.semstate = &search,
		.object_start = object_start,
		.array_start = array_start,
		.object_field_start = field_start,
		.scalar = scalar
	};

	if (!value || !*value || is_too_deep(value))
		return false;
	search.lex = makeJsonLexContextCstringLen((char *) value, strlen(value),
											  GetDatabaseEncoding(), true);
	return pg_parse_json(search.lex, &actions) == JSON_SUCCESS && search.is_object;
}

PG_FUNCTION_INFO_V1(referral_json_setting);

/*
 * json_setting(name)
 */
Datum
referral_json_setting(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (!json_setting_fields(name, NULL, 0))
		PG_RETURN_NULL();
	return DirectFunctionCall1(jsonb_in,
							   CStringGetDatum(GetConfigOption(name, true, false)));
}

PG_FUNCTION_INFO_V1(referral_request_header);

/*
 * request_header(name)
 */
Datum
referral_request_header(PG_FUNCTION_ARGS)
{
	JsonField	header = {.name = text_to_cstring(PG_GETARG_TEXT_PP(0))};

	if (!json_setting_fields("request.headers", &header, 1) ||
		!header.value || !*header.value)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(header.value));
}
