// Where a page keeps what must outlive it. A store has `get(key)`, `set(key, value)`, `delete(key)` and `alone(key, task)`: `task` runs
// while nobody else holds `key`. Values are whatever a browser can clone: bytes, texts, plain objects, keys that no script can read.

const TABLE = "kept";

/** Returns a store that forgets when the page does: for tests, and for visits that leave no trace. */
export function memoryStore() {
  const kept = new Map();
  const turns = new Map();
  return {
    get: async (key) => kept.get(key),
    set: async (key, value) => void kept.set(key, value),
    delete: async (key) => void kept.delete(key),
    alone: (key, task) => {
      const turn = (turns.get(key) ?? Promise.resolve()).then(task);
      turns.set(key, turn.catch(() => {}));
      return turn;
    },
  };
}

/** Returns the store of this origin in this browser (IndexedDB); other pages of the origin share it, and wait for each other. */
export function browserStore(name = "dgns") {
  let opened;
  const database = () => (opened ??= open(name));
  const run = async (mode, ask) => {
    const table = (await database()).transaction(TABLE, mode).objectStore(TABLE);
    return answered(ask(table));
  };
  return {
    get: (key) => run("readonly", (table) => table.get(key)),
    set: (key, value) => run("readwrite", (table) => table.put(value, key)).then(() => {}),
    delete: (key) => run("readwrite", (table) => table.delete(key)).then(() => {}),
    alone: (key, task) => navigator.locks.request(`${name}/${key}`, task),
  };
}

function open(name) {
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
  return answered(request);
}

const answered = (request) => new Promise((done, failed) => {
  request.onsuccess = () => done(request.result);
  request.onerror = () => failed(request.error);
});
