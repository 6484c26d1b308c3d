import { createHash } from 'node:crypto';
import { invalidArgument } from '../errors.js';

/** What an agreed configuration is made of: JSON. */
export type ConfigValue = null | boolean | number | string | ConfigValue[] | ConfigObject;

export interface ConfigObject {
  [field: string]: ConfigValue;
}

/** Containers within containers in a configuration; itself is the first. */
export const MAX_CONFIG_DEPTH = 16;

/** A field in which two configurations differ. A side that does not have the field has no value here either. */
export interface ConfigDifference {
  /** Dotted path: "experts.topK", "columns.0.width". */
  field: string;
  ours?: ConfigValue;
  theirs?: ConfigValue;
}

/**
 * A copy of `config` that is JSON and nothing else: fields that are undefined are left out, -0 becomes 0. What JSON
 * has no form for (NaN, typed arrays, dates, functions, lone surrogates) throws WEFT_INVALID_ARGUMENT with its path.
 */
export function toConfigObject(config: object): ConfigObject {
  const copy = toConfigValue(config, 'config', 1);
  if (copy === null || typeof copy !== 'object' || Array.isArray(copy)) {
    throw invalidArgument('config', config, 'a plain object');
  }
  return copy;
}

/**
 * Canonical JSON, as RFC 8785 has it: no white space, keys sorted by UTF-16 units, numbers and strings as ECMAScript
 * writes them.
 */
export function canonicalJson(value: ConfigValue): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key]!)}`).join(',')}}`;
}

/** SHA-256 of the configuration's canonical JSON in UTF-8: 32 bytes, equal exactly when the configurations are. */
export function configHash(config: object): Buffer {
  return createHash('sha256')
    .update(canonicalJson(toConfigObject(config)), 'utf8')
    .digest();
}

/** The fields in which two configurations differ, in order of their paths; empty when they are equal. */
export function diffConfig(ours: object, theirs: object): ConfigDifference[] {
  const differences: ConfigDifference[] = [];
  collect('', toConfigObject(ours), toConfigObject(theirs), differences);
  return differences;
}

function collect(
  field: string,
  ours: ConfigValue | undefined,
  theirs: ConfigValue | undefined,
  into: ConfigDifference[],
): void {
  if (isContainer(ours) && isContainer(theirs) && Array.isArray(ours) === Array.isArray(theirs)) {
    const a = new Map<string, ConfigValue>(Object.entries(ours));
    const b = new Map<string, ConfigValue>(Object.entries(theirs));
    // Own order first: it is the order in which the configuration was written down.
    for (const key of new Set([...a.keys(), ...b.keys()])) {
      collect(field === '' ? key : `${field}.${key}`, a.get(key), b.get(key), into);
    }
  } else if (ours === undefined || theirs === undefined || canonicalJson(ours) !== canonicalJson(theirs)) {
    into.push({ field, ...(ours !== undefined && { ours }), ...(theirs !== undefined && { theirs }) });
  }
}

function isContainer(value: ConfigValue | undefined): value is ConfigValue[] | ConfigObject {
  return typeof value === 'object' && value !== null;
}

function toConfigValue(value: unknown, path: string, depth: number): ConfigValue {
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value === 0 ? 0 : value;
  if (typeof value === 'string') return wellFormed(value, path);
  if (typeof value !== 'object') throw invalidArgument(path, value, 'JSON');
  if (depth > MAX_CONFIG_DEPTH) throw invalidArgument(path, value, `at most ${MAX_CONFIG_DEPTH} levels deep`);
  if (Array.isArray(value)) {
    return Array.from(value, (item: unknown, i) => toConfigValue(item, `${path}.${i}`, depth + 1));
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) throw invalidArgument(path, value, 'JSON');
  const copy: ConfigObject = {};
  for (const [key, field] of Object.entries(value)) {
    if (field === undefined) continue;
    if (wellFormed(key, path) === '__proto__') throw invalidArgument(path, key, 'without a key "__proto__"');
    copy[key] = toConfigValue(field, `${path}.${key}`, depth + 1);
  }
  return copy;
}

/** Half a surrogate pair has no UTF-8, so it would not arrive as it was sent. */
function wellFormed(text: string, path: string): string {
  if (/\p{Surrogate}/u.test(text)) throw invalidArgument(path, text, 'text without lone surrogates');
  return text;
}
