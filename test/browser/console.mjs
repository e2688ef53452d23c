// The console in Chromium, watched: what a page says, asks for or is refused beyond
// what its test expects is a fault, and a test with a fault has failed.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { chromium } from '../http/node_modules/playwright-core/index.mjs';
import { member, operator, sql } from '../http/client.mjs';

export { assert, member, operator, sql };
export const site = process.env.REFERRAL_URL;
const pictures = process.env.REFERRAL_SCREENSHOTS;
const PATIENCE_MS = 10000;
const axe = readFileSync(new URL('../http/node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

export const DESKTOP = { width: 1280, height: 900 };
export const PHONE = { width: 360, height: 740 };

let browser;
before(async () => {
    mkdirSync(pictures, { recursive: true });
    browser = await chromium.launch({
        executablePath: '/usr/bin/chromium',
        // Its sandbox needs another user than root.
        args: process.getuid() === 0 ? ['--no-sandbox'] : [],
    });
});
after(() => browser.close());

// Runs in the page before anything of its own.
function tellOfViolations() {
    document.addEventListener('securitypolicyviolation', (event) =>
        globalThis.fault(`policy: ${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
}

// A test that looks at a page. token: who is signed in, by cookie; expected: answers
// such as "POST /console/session 401" that belong to the test; the rest as Playwright
// has it. body is given the page and its context.
export function look(name, { token, viewport = DESKTOP, expected = [], ...options }, body) {
    test(name, { timeout: 120000 }, async () => {
        const context = await browser.newContext({ viewport, locale: 'en-US', timezoneId: 'America/Los_Angeles', ...options });
        context.setDefaultTimeout(PATIENCE_MS);
        const faults = [];
        const unexpected = (what) => expected.some((one) => one.test(what)) || faults.push(what);
        if (token) {
            await signIn(context, token);
        }
        await context.exposeFunction('fault', (what) => faults.push(what));
        await context.addInitScript(tellOfViolations);
        const path = (url) => url.replace(site, '');
        context.on('dialog', (dialog) => faults.push(`dialog: ${dialog.message()}`) && dialog.dismiss());
        context.on('weberror', (error) => faults.push(`exception: ${error.error()}`));
        context.on('page', (page) => page.on('popup', () => faults.push('popup')));
        context.on('console', (message) => {
            // Refused requests are counted where they are answered.
            if (['error', 'warning'].includes(message.type()) && !message.text().startsWith('Failed to load resource')) {
                faults.push(`console: ${message.text()}`);
            }
        });
        context.on('request', (request) => {
            if (!request.url().startsWith(`${site}/console/`)) {
                faults.push(`request: ${request.url()}`);
            }
        });
        context.on('requestfailed', (request) => {
            const { errorText } = request.failure();
            // What was still on its way when a page was left.
            if (errorText !== 'net::ERR_ABORTED') {
                unexpected(`${request.method()} ${path(request.url())} ${errorText}`);
            }
        });
        context.on('response', (response) => response.status() < 400
            || unexpected(`${response.request().method()} ${path(response.url())} ${response.status()}`));
        const page = await context.newPage();
        try {
            await body(page, context);
        } catch (error) {
            await picture(page, `failed ${name}`).catch(() => {});
            error.message += faults.map((fault) => `\n  fault: ${fault}`).join('');
            throw error;
        } finally {
            await context.close();
        }
        assert.deepEqual(faults, []);
    });
}

export function signIn(context, token) {
    return context.addCookies([{ name: 'nl_session', value: token, url: site, httpOnly: true, sameSite: 'Strict' }]);
}

export const MEMBER = '/console/';
export const OPERATOR = '/console/operator.html';

// Opens a page and waits until nothing on it is loading any more.
export async function visit(page, path) {
    await page.goto(site + path);
    await settled(page);
}

export async function settled(page) {
    await page.waitForFunction(() => document.querySelector('main')?.childElementCount > 0
        && !document.querySelector('[aria-busy], .waiting'));
}

// The same in words that a test can wait for: until check() does not throw.
export async function eventually(check) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
        try {
            return await check();
        } catch (error) {
            if (Date.now() > deadline) {
                throw error;
            }
            await new Promise((resolve) => setTimeout(resolve, 50));
        }
    }
}

// The whole page, or where a dialog lies over it the window.
export async function picture(page, name) {
    const fullPage = await page.getByRole('dialog').count() === 0;
    if (fullPage) {
        await page.evaluate(() => scrollTo({ top: 0, behavior: 'instant' }));
    }
    await page.screenshot({ path: `${pictures}/${name.replaceAll(/[^A-Za-z0-9]+/g, '-')}.png`, fullPage, animations: 'disabled' });
}

// What axe-core finds that is serious: by all its rules, or those about colours.
export async function accessible(page, where, rules = {}) {
    await page.evaluate(axe);
    const { violations, passes } = await page.evaluate((some) =>
        globalThis.axe.run(document, { resultTypes: ['violations', 'passes'], ...some }), rules);
    assert.ok(passes.length > 0, `${where}: axe looked at something`);
    const found = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))
        .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${target} ${failureSummary}`));
    assert.deepEqual(found, [], where);
}

// Nothing is wider than the window.
export async function fits(page, where) {
    const [inner, window] = await page.evaluate(() => [document.scrollingElement.scrollWidth, document.documentElement.clientWidth]);
    assert.ok(inner <= window, `${where}: ${inner} px of content in ${window} px`);
}

// Rows of a table as objects by the titles of its columns.
export function rows(page, caption) {
    return page.getByRole('table', { name: caption, exact: true }).evaluate((table) => {
        const titles = [...table.querySelectorAll('thead th')].map((cell) => cell.textContent);
        return [...table.querySelectorAll('tbody tr')].map((row) =>
            Object.fromEntries([...row.children].map((cell, n) => [titles[n], cell.textContent])));
    });
}

// The first column of what a query returns, as numbers.
export const json = (query) => JSON.parse(sql(`SELECT coalesce(json_agg(q), '[]') FROM (${query}) q`).join(''));
