/*
 * json_setting.h
 *	  What PostgREST says of a request: settings that hold JSON objects.
 */
#ifndef REFERRAL_JSON_SETTING_H
#define REFERRAL_JSON_SETTING_H

#include "referral.h"

typedef struct JsonField
{
	const char *name;
	char	   *value;			/* NULL: none, or not a scalar, or null */
	bool		is_there;
	bool		is_string;
} JsonField;

extern bool json_setting_fields(const char *setting, JsonField *fields,
								int nfields);

#endif							/* REFERRAL_JSON_SETTING_H */
