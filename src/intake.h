/*
 * intake.h
 *	  Whether a statement that inserts payments is running under our triggers.
 */
#ifndef REFERRAL_INTAKE_H
#define REFERRAL_INTAKE_H

extern void intake_init(void);
extern void intake_raise(void);
extern void intake_lower(void);

#endif							/* REFERRAL_INTAKE_H */
