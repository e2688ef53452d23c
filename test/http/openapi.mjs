// An OpenAPI 3.1 document as a judge of answers: of which operation one is,
// whether its status is described, and whether its body is as described.
import { readFileSync } from 'node:fs';
import assert from 'node:assert/strict';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { Validator } from '@seriousme/openapi-schema-validator';

const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'];

// What any request may be answered before an operation has looked at it, in the
// form of components.schemas.Error: nothing there, not by this method, no
// address, too much at once.
const BEFORE = [400, 404, 405, 413, 414, 429];
// What a test of one contract cannot bring about, or must not.
const NOT_SEEN = /^(413|414|429|5..|default)$/;

const escaped = (name) => String(name).replaceAll('~', '~0').replaceAll('/', '~1');
const pointer = (...names) => '#/' + names.map((name) => encodeURIComponent(escaped(name))).join('/');

export class Description {
    #seen = new Set();
    #ajv = new Ajv2020({ strict: true, strictRequired: false, strictTypes: false, allErrors: true });

    // The document as an object, and a name for its complaints.
    constructor(document, name) {
        this.document = document;
        this.name = name;
        formats(this.#ajv);
        // Ajv takes the document for a schema in which others stand.
        this.#ajv.addVocabulary([...Object.keys(document), 'example', 'discriminator', 'externalDocs', 'xml']);
        this.#ajv.addSchema(document, name);
    }

    static read(name) {
        return new Description(
            JSON.parse(readFileSync(new URL(`../../http/openapi/${name}.json`, import.meta.url), 'utf8')), name);
    }

    // [path template, method, operation, pointer to it]
    *operations() {
        for (const [path, item] of Object.entries(this.document.paths ?? {})) {
            for (const method of METHODS.filter((each) => item[each])) {
                yield [path, method, item[method], ['paths', path, method]];
            }
        }
    }

    // What stands at a place in the document, past its references, and where.
    at(names) {
        let value = this.document;
        for (const name of names) {
            value = value?.[name];
        }
        if (value?.$ref) {
            return this.at(value.$ref.slice(2).split('/')
                .map((name) => decodeURIComponent(name).replaceAll('~1', '/').replaceAll('~0', '~')));
        }
        return [value, names];
    }

    schema(names) {
        const place = this.name + pointer(...names);
        return this.#ajv.getSchema(place) ?? this.#ajv.compile({ $ref: place });
    }

    // Complaints about a value at a place where a schema stands.
    complaints(names, value) {
        const valid = this.schema(names);
        return valid(value) ? [] : valid.errors.map((e) => `${e.instancePath || 'the body'} ${e.message}`
            + (e.params.additionalProperty === undefined ? '' : ` (${e.params.additionalProperty})`));
    }

    // The template that a path fits, the more literal the better.
    template(path) {
        const segments = path.split('/');
        const fits = (template) => {
            const parts = template.split('/');
            return parts.length === segments.length && parts.every((part, i) =>
                part === segments[i] || (/^\{.*\}$/.test(part) && segments[i] !== ''));
        };
        return Object.keys(this.document.paths).filter(fits)
            .sort((a, b) => a.split('{').length - b.split('{').length)[0];
    }

    // What is wrong with an answer {status, headers, body, text}; path is that of
    // the request below the base of the contract.
    wrong(method, path, { status, headers, body, text }) {
        const plain = path.replace(/\?.*$/s, '');
        let template = this.template(plain);
        if (template === undefined && status !== 404) {
            template = this.template(plain.replace(/\/$/, ''));
        }
        const verb = method.toLowerCase();
        const name = verb === 'head' && !this.document.paths[template]?.head ? 'get' : verb;
        // Before a page of another origin may ask, its browser does.
        if (verb === 'options' && status === 204) {
            return text === '' ? [] : ['204 with a body'];
        }
        const operation = this.document.paths[template]?.[name];
        const code = String(status);
        const described = operation?.responses[code] ? code : 'default';
        if (operation?.responses[described] === undefined || status >= 500) {
            if (!BEFORE.includes(status) || (operation && status !== 400)) {
                return [operation ? `status ${status} is not described` : `${status}, but no such operation is described`];
            }
            return verb === 'head' ? [] : this.#content(['components', 'schemas', 'Error'], headers, body);
        }
        this.#seen.add(`${name} ${template} ${code}`);
        const [response, place] = this.at(['paths', template, name, 'responses', described]);
        const wrong = [];
        for (const [header, described] of Object.entries(response.headers ?? {})) {
            const value = headers[header.toLowerCase()];
            const [{ required }, where] = this.at([...place, 'headers', header]);
            if (value === undefined ? required : this.complaints([...where, 'schema'], [value].flat()[0]).length) {
                wrong.push(`header ${header}: ${value}`);
            }
        }
        if (verb === 'head') {
            return wrong;
        }
        const type = (headers['content-type'] ?? '').split(';')[0];
        if (!response.content) {
            return text === '' ? wrong : [...wrong, 'a body, and none is described'];
        }
        if (!response.content[type]) {
            return [...wrong, `content type ${type} is not described`];
        }
        return wrong.concat(this.complaints([...place, 'content', type, 'schema'], body));
    }

    #content(names, headers, body) {
        const type = (headers['content-type'] ?? '').split(';')[0];
        return type === 'application/json' ? this.complaints(names, body) : [`content type ${type}`];
    }

    check(method, path, answer) {
        const wrong = this.wrong(method, path, answer);
        assert.deepEqual(wrong, [], `${this.name}.json does not describe the answer to ${method} ${path}: `
            + `${answer.status} ${String(answer.text).slice(0, 500)}\n${wrong.join('\n')}`);
    }

    // Statuses of operations that were described and never answered; with one
    // named, only those.
    unseen(only) {
        const left = [];
        for (const [path, method, operation] of this.operations()) {
            for (const status of Object.keys(operation.responses)) {
                if (!NOT_SEEN.test(status) && status === (only ?? status) && !this.#seen.has(`${method} ${path} ${status}`)) {
                    left.push(`${method} ${path} ${status}`);
                }
            }
        }
        return left;
    }

    // What is wrong with the document itself: its form, what a reader needs to be
    // told, and examples that are none.
    async faults() {
        const { valid, errors } = await new Validator().validate(structuredClone(this.document));
        if (!valid) {
            return [errors].flat().map((e) => typeof e === 'string' ? e : `${e.instancePath} ${e.message}`);
        }
        const faults = [];
        const examples = (value, names) => {
            for (const [n, example] of Object.entries(value.examples ?? { '': { value: value.example } })) {
                if (example.value !== undefined) {
                    faults.push(...this.complaints([...names, 'schema'], example.value)
                        .map((wrong) => `${names.join(' ')} example ${n}: ${wrong}`));
                }
            }
        };
        const content = (value, names) => {
            for (const type of Object.keys(value?.content ?? {})) {
                examples(value.content[type], [...names, 'content', type]);
                this.schema([...names, 'content', type, 'schema']);
            }
        };
        for (const [path, method, operation, names] of this.operations()) {
            const what = `${method} ${path}`;
            if (!operation.summary) {
                faults.push(`${what}: no summary`);
            }
            const parameters = [...(this.document.paths[path].parameters ?? []).map((_, i) => ['paths', path, 'parameters', i]),
                                ...(operation.parameters ?? []).map((_, i) => [...names, 'parameters', i])];
            const inPath = new Set();
            for (const place of parameters) {
                const [parameter, where] = this.at(place);
                examples(parameter, where);
                if (!parameter.description) {
                    faults.push(`${what}: parameter ${parameter.name} has no description`);
                }
                if (parameter.in === 'path') {
                    inPath.add(parameter.name);
                }
            }
            for (const [, name] of path.matchAll(/\{(.*?)\}/g)) {
                if (!inPath.has(name)) {
                    faults.push(`${what}: parameter ${name} of the path is not described`);
                }
            }
            if (operation.requestBody) {
                content(...this.at([...names, 'requestBody']));
            }
            for (const status of Object.keys(operation.responses)) {
                content(...this.at([...names, 'responses', status]));
            }
        }
        const objects = (value, place) => {
            if (value && typeof value === 'object') {
                if (value.type === 'object' && value.properties && value.additionalProperties !== false) {
                    faults.push(`${place}: additionalProperties is not false`);
                }
                for (const [key, each] of Object.entries(value)) {
                    if (!['example', 'examples', 'requestBodies', 'requestBody'].includes(key)) {
                        objects(each, `${place}/${key}`);
                    }
                }
            }
        };
        objects(this.document, '');
        return faults;
    }
}
