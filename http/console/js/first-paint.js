// Not a module, so that the chosen colours are there before anything is painted.
{
    const theme = localStorage.getItem('theme');
    if (theme === 'light' || theme === 'dark') {
        document.documentElement.dataset.theme = theme;
    }
}
