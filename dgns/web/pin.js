// PINs: what a person remembers of a recovery (PROTOCOL 24.1).

import { Refused } from "./cbor.js";
import { WORDS } from "./wordlist.js";

const [DIGITS_MIN, DIGITS_MAX, WORD_COUNT] = [6, 32, 4];
/** The guesses of an enrolment. */
export const GUESSES_MAX = 10;

/** Returns what a person typed in its one form: 6 to 32 digits, or four words of the list of seeds; refuses with `bad_pin`. */
export function readPin(typed) {
  const text = typed.trim().toLowerCase();
  if (/^[0-9]/.test(text)) {
    const digits = text.replaceAll(/[ -]/g, "");
    return /^[0-9]+$/.test(digits) && digits.length >= DIGITS_MIN && digits.length <= DIGITS_MAX ? digits : notOne();
  }
  const words = text.split(/\s+/);
  return words.length === WORD_COUNT && words.every((word) => WORDS.includes(word)) ? words.join(" ") : notOne();
}

const notOne = () => {
  throw new Refused("bad_pin", "a PIN is 6 to 32 digits, or four words of the list that seeds are made of");
};

/** As `readPin`, and refuses what everybody tries first with `weak_pin`. */
export function choosePin(typed) {
  const pin = readPin(typed);
  if (!isWords(pin) && isWeak(pin)) throw new Refused("weak_pin", "a repeat, a run or a date");
  return pin;
}

/** Returns whether a PIN is words. */
export const isWords = (pin) => !/^[0-9]/.test(pin);

/** Returns how many there are of its kind, as a BigInt. */
export const possible = (pin) => (isWords(pin) ? 2048n ** BigInt(WORD_COUNT) : 10n ** BigInt(pin.length));

/** Returns four words, drawn each by itself. */
export const drawnWords = () => Array.from(crypto.getRandomValues(new Uint16Array(WORD_COUNT)), (drawn) => WORDS[drawn & 2047]).join(" ");

/** Whether digits are a repeat, a run, read the same backwards, or are a date. */
function isWeak(digits) {
  const all = [...digits].map(Number);
  const { length } = all;
  const repeats = Array.from({ length: Math.floor(length / 2) }, (_, i) => i + 1).some((period) => length % period === 0 && all.every((digit, at) => at < period || digit === all[at - period]));
  const steps = (step) => all.every((digit, at) => at === 0 || (all[at - 1] + step) % 10 === digit);
  const isMirrored = length % 2 === 0 && digits === [...digits].reverse().join("");
  return repeats || steps(1) || steps(9) || isMirrored || isDate(digits);
}

/** Whether six or eight digits are a day of a year, in one of the orders people write. */
function isDate(digits) {
  const pair = (at) => Number(digits.slice(at, at + 2));
  const day = (at) => pair(at) >= 1 && pair(at) <= 31;
  const month = (at) => pair(at) >= 1 && pair(at) <= 12;
  const century = (at) => pair(at) === 19 || pair(at) === 20;
  if (digits.length === 6) return (day(0) && month(2)) || (month(0) && day(2)) || (month(2) && day(4));
  return digits.length === 8 && ((((day(0) && month(2)) || (month(0) && day(2))) && century(4)) || (century(0) && month(4) && day(6)));
}
