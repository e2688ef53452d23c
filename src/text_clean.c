/*
 * text_clean.c
 *	  Texts that anybody may send, made fit to be stored.
 *
 * Clicks come from bots, too.  A regular expression would do, but takes a
 * hundred times as long over a long text, most of which is cut off anyway.
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/* Beyond ASCII: what shows nothing, or changes how other characters show. */
static const struct
{
	pg_wchar	first,
				last;
}			invisible[] = {
	{0x80, 0x9F},				/* C1 */
	{0xAD, 0xAD},				/* soft hyphen */
	{0x61C, 0x61C},				/* direction of writing */
	{0x180E, 0x180E},			/* zero width */
	{0x200B, 0x200F},			/* zero width, direction of writing */
	{0x2028, 0x202E},			/* line, paragraph, direction of writing */
	{0x2060, 0x206F},			/* zero width, direction of writing */
	{0xFEFF, 0xFEFF},			/* byte order mark, zero width */
	{0xFFF9, 0xFFFB},			/* annotations */
	{0xE0000, 0xE007F}			/* tags */
};

/*
 * Encodings other than UTF-8 have their control characters among the single
 * bytes, of which only those of ASCII are the same in all of them.
 */
static bool
is_clean(const char *character, int length)
{
	pg_wchar	code;

	if (length == 1)
		return (unsigned char) *character >= 0x20 && *character != 0x7F;
	if (GetDatabaseEncoding() != PG_UTF8)
		return true;
	code = utf8_to_unicode((const unsigned char *) character);
	for (size_t i = 0; i < lengthof(invisible); i++)
	{
		if (code >= invisible[i].first && code <= invisible[i].last)
			return false;
	}
	return true;
}

PG_FUNCTION_INFO_V1(referral_clean_text);

/*
 * clean_text(value, at_most): NULL when nothing is left
 */
Datum
referral_clean_text(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	int			at_most = PG_GETARG_INT32(1);
	const char *next = VARDATA_ANY(value);
	const char *end = next + VARSIZE_ANY_EXHDR(value);
	StringInfoData clean;
	int			length;

	initStringInfo(&clean);
	for (int kept = 0; next < end && kept < at_most; next += length)
	{
		CHECK_FOR_INTERRUPTS();
		length = Min(pg_mblen(next), end - next);
		if ((kept == 0 && *next == ' ') || !is_clean(next, length))
			continue;
		appendBinaryStringInfo(&clean, next, length);
		kept++;
	}
	while (clean.len > 0 && clean.data[clean.len - 1] == ' ')
		clean.len--;
	if (clean.len == 0)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(clean.data, clean.len));
}
