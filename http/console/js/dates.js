// Days and times as the program's zone has them.
import { el } from './dom.js';

const DAY_MS = 86400000;

const utc = (day) => Date.parse(`${day}T00:00:00Z`);

// A calendar day (2026-01-31) so many days later.
export function plusDays(day, days) {
    return new Date(utc(day) + days * DAY_MS).toISOString().slice(0, 10);
}

export function daysBetween(first, last) {
    return (utc(last) - utc(first)) / DAY_MS;
}

export class Dates {
    #day;
    #minute;
    #iso;

    constructor(zone) {
        let timeZone = zone;
        try {
            Intl.DateTimeFormat(undefined, { timeZone });
        } catch {
            // PostgreSQL knows some zones by names that browsers do not.
            timeZone = 'UTC';
        }
        this.#day = new Intl.DateTimeFormat(undefined, { timeZone, dateStyle: 'medium' });
        this.#minute = new Intl.DateTimeFormat(undefined, {
            timeZone, year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', timeZoneName: 'short',
        });
        this.#iso = new Intl.DateTimeFormat('en-CA', { timeZone });
    }

    // The day of an instant; the time of day shows when pointed at.
    day(instant) {
        return instant && el('time', { datetime: instant, title: this.#minute.format(new Date(instant)) },
            this.#day.format(new Date(instant)));
    }

    minute(instant) {
        return instant && el('time', { datetime: instant }, this.#minute.format(new Date(instant)));
    }

    today() {
        return this.#iso.format(new Date());
    }
}

const long = new Intl.DateTimeFormat(undefined, { timeZone: 'UTC', dateStyle: 'medium' });
const short = new Intl.DateTimeFormat(undefined, { timeZone: 'UTC', day: 'numeric', month: 'short' });

export const longDay = (day) => long.format(utc(day));
export const shortDay = (day) => short.format(utc(day));
