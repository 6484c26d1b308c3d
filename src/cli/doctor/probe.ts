import type { Machine } from '../machine.js';

export interface Finding {
  /** fail: something of the library does not work here. warn: it works, but worse than it could. */
  status: 'ok' | 'warn' | 'fail';
  text: string;
  /** A command, or what to do in words. */
  fix?: string;
}

export interface ProbeContext {
  machine: Machine;
  /** Ranks that are to run on this host. */
  ranks: number;
}

/** One thing that is looked at. `look` finds or tries it; what it throws is a failure of the probe's subject. */
export interface Probe {
  name: string;
  look(context: ProbeContext): Finding | Promise<Finding>;
}

export const ok = (text: string): Finding => ({ status: 'ok', text });
export const warn = (text: string, fix?: string): Finding => finding('warn', text, fix);
export const fail = (text: string, fix?: string): Finding => finding('fail', text, fix);

function finding(status: Finding['status'], text: string, fix: string | undefined): Finding {
  return fix === undefined ? { status, text } : { status, text, fix };
}
