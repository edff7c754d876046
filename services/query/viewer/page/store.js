// One value for the whole page; who wants to know of a change says of which part.

export function createStore(initial) {
  let state = { ...initial };
  const listeners = new Set();
  return {
    get state() {
      return state;
    },
    // Replace some parts; those that listen for one that changed are called once.
    set(parts) {
      const changed = Object.keys(parts).filter((name) => !Object.is(parts[name], state[name]));
      if (!changed.length) return;
      state = { ...state, ...parts };
      for (const { names, action } of [...listeners]) if (names.some((name) => changed.includes(name))) action(state);
    },
    // Calls `action` after each change of one of these parts; returns how to end it.
    on(names, action) {
      const listener = { names, action };
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

// What a person chose on this machine before, and how it is remembered. A browser may refuse to.
export function remembered(name, otherwise) {
  try {
    const value = JSON.parse(localStorage.getItem(`gantry.${name}`));
    return value === null ? otherwise : value;
  } catch {
    return otherwise;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(`gantry.${name}`, JSON.stringify(value));
  } catch {
    // A private window: it holds until the tab is closed.
  }
}
