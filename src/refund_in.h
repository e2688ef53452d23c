/*
 * refund_in.h
 *	  Refunds that waited for payments that have just come.
 */
#ifndef REFERRAL_REFUND_IN_H
#define REFERRAL_REFUND_IN_H

#include "payments.h"

extern void refunds_follow_payments(Oid namespace, PaymentSource *source);

#endif							/* REFERRAL_REFUND_IN_H */
