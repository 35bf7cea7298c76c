// One runner per vector file: takes a case, fails unless verify.js says what the case says.

export const RUNNERS = {};
