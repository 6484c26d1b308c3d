import { readFileSync } from 'node:fs';
import { parse } from 'csv-parse/sync';
import { z } from 'zod';
import { invalidArgument, systemError } from '../errors.js';

const LONG_FORM = ['layer', 'expert', 'load'];
const rowsSchema = z.array(z.array(z.number().min(0)).min(1)).min(1);
const jsonSchema = z.union([
  rowsSchema,
  z
    .array(z.number().min(0))
    .min(1)
    .transform((row) => [row]),
  z.object({ loads: rowsSchema }).transform(({ loads }) => loads),
]);
/** What is read again of a plan that was printed. */
export interface Plan {
  experts: number;
  nodes: number;
  groups: number;
  layers: { slots: number[][] }[];
}
const planSchema: z.ZodType<Plan> = z.object({
  experts: z.int().min(1),
  nodes: z.int().min(1),
  groups: z.int().min(1),
  layers: z.array(z.object({ slots: z.array(z.array(z.int().min(0))) })).min(1),
});
/** What a file may hold. */
export const LOADS: string =
  'loads: JSON ([[...], ...], or one [...], or { "loads": [[...], ...] }), or CSV (a line for each layer, a column for ' +
  'each expert; or lines of layer,expert,load under a line that says so)';

/** [layers][experts], as many in each layer. */
export function readLoads(path: string): number[][] {
  const text = readText(path);
  const layers = /^\s*[[{]/.test(text) ? parsed(path, text, jsonSchema, LOADS) : fromCsv(path, text);
  const uneven = layers.findIndex((row) => row.length !== layers[0]!.length);
  if (uneven >= 0) {
    const lengths = `${layers[0]!.length} loads in layer 0 and ${layers[uneven]!.length} in layer ${uneven}`;
    throw invalidArgument(path, lengths, 'as many experts in every layer');
  }
  return layers;
}

/** A plan that `weft eplb --json` printed. */
export function readPlan(path: string): Plan {
  return parsed(path, readText(path), planSchema, 'a plan that weft eplb --json has printed');
}

function fromCsv(path: string, text: string): number[][] {
  let rows: string[][];
  try {
    rows = parse(text, { comment: '#', skipEmptyLines: true, trim: true, relaxColumnCount: true });
  } catch (error) {
    throw invalidArgument(path, (error as Error).message, LOADS, { cause: error });
  }
  const head = rows[0]?.map((cell) => cell.toLowerCase()) ?? [];
  const isHead = head.every((cell) => cell !== '' && Number.isNaN(Number(cell)));
  const numbers = (isHead ? rows.slice(1) : rows).map((row) => row.map((cell) => numberOf(path, cell)));
  if (numbers.length === 0) throw invalidArgument(path, 'no line of numbers', LOADS);
  const long = LONG_FORM.filter((name) => head.includes(name)).length;
  if (long > 0 && long < LONG_FORM.length)
    throw invalidArgument(
      path,
      rows[0]!.join(),
      'a first line that names layer, expert and load, or none of them',
    );
  return long > 0 ? fromLongForm(path, head, numbers) : numbers;
}

function fromLongForm(path: string, head: string[], rows: number[][]): number[][] {
  const [layerAt, expertAt, loadAt] = LONG_FORM.map((name) => head.indexOf(name)) as [number, number, number];
  const layers: number[][] = [];
  let experts = 0;
  for (const row of rows) {
    const [layer, expert, load] = [row[layerAt], row[expertAt], row[loadAt]];
    if (
      layer === undefined ||
      expert === undefined ||
      load === undefined ||
      !isPlace(layer) ||
      !isPlace(expert)
    )
      throw invalidArgument(
        path,
        row.join(),
        'lines of a layer, an expert (whole numbers from 0) and a load',
      );
    while (layers.length <= layer) layers.push([]);
    layers[layer]![expert] = (layers[layer]![expert] ?? 0) + load;
    experts = Math.max(experts, expert + 1);
  }
  // Who is not mentioned had nothing to do.
  return layers.map((of) => Array.from({ length: experts }, (_, expert) => of[expert] ?? 0));
}

function isPlace(value: number): boolean {
  return Number.isSafeInteger(value) && value < 65_536;
}

function numberOf(path: string, cell: string): number {
  const value = Number(cell);
  if (cell === '' || !Number.isFinite(value) || value < 0)
    throw invalidArgument(path, cell, 'numbers, 0 or more, in every cell under the first line');
  return value;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw systemError(`cannot read ${path}`, error);
  }
}

function parsed<T>(path: string, text: string, schema: z.ZodType<T>, allowed: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalidArgument(path, (error as Error).message, allowed, { cause: error });
  }
  const checked = schema.safeParse(value);
  if (checked.success) return checked.data;
  const { path: at, message } = checked.error.issues[0]!;
  throw invalidArgument(path, `${message}${at.length === 0 ? '' : ` at ${at.join('.')}`}`, allowed);
}
