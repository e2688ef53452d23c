// The console in Chromium, watched: whatever a page says or asks for that it should
// not is a fault, and a test with a fault has failed.
import { test as nodeTest, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { chromium, expect as playwrightExpect } from './playwright.mjs';
import { member as memberToken, operator as operatorToken, sql } from '../http/client.mjs';

export { assert, sql, memberToken, operatorToken };
export const site = process.env.REFERRAL_URL;
const shots = process.env.REFERRAL_SCREENSHOTS ?? 'tmp_check/screenshots';
