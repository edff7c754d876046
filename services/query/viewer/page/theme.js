// Before anything is drawn: the theme that was chosen on this machine. A classic script, so that the page waits for it.
(() => {
  try {
    const theme = JSON.parse(localStorage.getItem("gantry.theme"));
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Then the system's.
  }
})();
