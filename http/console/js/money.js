// Money: BigInt micro-units (millionths of the currency) in and out. Intl is given
// decimal strings, never Numbers, so that every digit is the server's.

const MICRO_DIGITS = 6;

// How amounts are typed: with the marks of the reader's language.
const plain = new Intl.NumberFormat(undefined, { numberingSystem: 'latn', minimumFractionDigits: 2, maximumFractionDigits: MICRO_DIGITS });

export function decimal(micro) {
    const digits = (micro < 0n ? -micro : micro).toString().padStart(MICRO_DIGITS + 1, '0');
    return `${micro < 0n ? '-' : ''}${digits.slice(0, -MICRO_DIGITS)}.${digits.slice(-MICRO_DIGITS)}`;
}

// How many decimals an amount has, beyond which there are zeros only.
function decimals(micro) {
    return decimal(micro).split('.')[1].replace(/0+$/, '').length;
}

export class Money {
    #currency;
    #style;
    #format;

    constructor(currency) {
        this.#currency = currency;
        // Other codes than those of ISO 4217 are no currency to Intl.
        this.#style = /^[A-Z]{3}$/.test(currency) ? { style: 'currency', currency } : {};
        this.usual = this.#style.currency
            ? new Intl.NumberFormat(undefined, this.#style).resolvedOptions().maximumFractionDigits
            : 2;
        this.#format = new Intl.NumberFormat(undefined, {
            ...this.#style,
            minimumFractionDigits: this.usual,
            maximumFractionDigits: MICRO_DIGITS,
        });
    }

    #unit() {
        return this.#style.currency ? '' : `\u00a0${this.#currency}`;
    }

    // Decimals that show every one of these amounts whole.
    digits(amounts) {
        return Math.max(this.usual, ...amounts.map(decimals));
    }

    text(micro) {
        return this.#format.format(decimal(micro)) + this.#unit();
    }

    // As text(), with the decimals beyond the usual ones less loud, and room for as
    // many as others in its column have, so that the points stand below each other.
    node(micro, digits = 0) {
        const node = document.createElement('span');
        node.className = micro < 0n ? 'money negative' : 'money';
        for (const { type, value } of this.#format.formatToParts(decimal(micro))) {
            if (type === 'fraction') {
                const fine = document.createElement('span');
                fine.className = 'fine';
                fine.textContent = value.slice(this.usual);
                fine.style.setProperty('--missing', Math.max(0, digits - value.length));
                node.append(value.slice(0, this.usual), fine);
            } else {
                node.append(value);
            }
        }
        node.append(this.#unit());
        return node;
    }

    // As somebody would type it.
    typed(micro) {
        return plain.formatToParts(decimal(micro)).filter(({ type }) => type !== 'group').map(({ value }) => value).join('');
    }

    // What somebody typed in his own notation as micro-units; null: no amount.
    parse(text) {
        const parts = plain.formatToParts('1234567.5');
        const mark = (wanted, otherwise) => parts.find(({ type }) => type === wanted)?.value ?? otherwise;
        const number = text.replaceAll(mark('group', ''), '').replaceAll(/\s/g, '').replace(mark('decimal', '.'), '.');
        const match = /^(\d{1,18})(?:\.(\d{0,6}))?$/.exec(number);
        return match && BigInt(match[1] + (match[2] ?? '').padEnd(MICRO_DIGITS, '0'));
    }

    // A mark beside a chart: a position there, not an amount of anybody's.
    mark(value) {
        return new Intl.NumberFormat(undefined, { ...this.#style, notation: 'compact', maximumSignificantDigits: 3 })
            .format(value);
    }
}

// Where in a chart an amount lies, which is as exact as a pixel.
export const position = (micro) => Number(micro) / 10 ** MICRO_DIGITS;
