/*
 * text_key.h
 *	  (program, text) as the key of a hash table: users, payments.
 */
#ifndef REFERRAL_TEXT_KEY_H
#define REFERRAL_TEXT_KEY_H

#include "referral.h"

#include "common/hashfn.h"

typedef struct TextKey
{
	int64		program_id;
	const char *text;			/* not terminated */
	int			length;
} TextKey;

static inline TextKey
text_key(int64 program_id, const text *value)
{
	return (TextKey)
	{
		program_id, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)
	};
}

static inline uint32
hash_text_key(const TextKey *key)
{
	return hash_combine(hash_bytes((const unsigned char *) key->text, key->length),
						(uint32) key->program_id);
}

static inline bool
equal_text_keys(const TextKey *a, const TextKey *b)
{
	return a->program_id == b->program_id && a->length == b->length &&
		memcmp(a->text, b->text, a->length) == 0;
}

#endif							/* REFERRAL_TEXT_KEY_H */
