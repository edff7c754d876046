// Keeps the session of somebody who logged in while he uses this page. OHIF runs it, too.
(() => {
  let used = false;

  // Who is signed in now, {name, until}, or null; one tab after the other.
  const renew = () => navigator.locks.request("gantry-session", async () => {
    const answer = await fetch("/login/renew", { method: "POST" });
    if (answer.ok) return answer.json();
    if (answer.status === 401) return null;
    throw new Error(answer.status);
  });

  function begin() {
    for (const type of ["pointerdown", "keydown", "wheel"]) addEventListener(type, () => { used = true; }, true);
    setInterval(() => {
      if (!used) return;
      used = false;
      renew().catch(() => { used = true; });
    }, 45_000);
  }

  window.session = { begin, renew };
})();
