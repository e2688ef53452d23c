/*
 * init.c
 *	  The module: magic block and start-up.
 */
#include "postgres.h"

#include "fmgr.h"

PG_MODULE_MAGIC;
