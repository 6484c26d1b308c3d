/** Byte-level text: a token is a byte of UTF-8, so that any input is valid and there is no tokenizer to load. */
import { BOS, EOS } from './config.js';

/** BOS, then the UTF-8 bytes of `text`. */
export function encode(text: string): number[] {
  return [BOS, ...new TextEncoder().encode(text)];
}

/** Printable form of generated tokens: ASCII as it is, everything else as an escape, so that no terminal is harmed. */
export function printable(tokens: readonly number[]): string {
  return tokens.map(printableToken).join('');
}

function printableToken(token: number): string {
  if (token === BOS) return '<bos>';
  if (token === EOS) return '<eos>';
  if (token === 0x0a) return '\\n';
  if (token === 0x5c) return '\\\\';
  if (token >= 0x20 && token < 0x7f) return String.fromCharCode(token);
  return `\\x${token.toString(16).padStart(2, '0')}`;
}
