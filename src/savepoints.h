/*
 * savepoints.h
 *	  What a transaction with a savepoint for each payment needs of memory.
 */
#ifndef REFERRAL_SAVEPOINTS_H
#define REFERRAL_SAVEPOINTS_H

extern void savepoints_init(void);

#endif							/* REFERRAL_SAVEPOINTS_H */
