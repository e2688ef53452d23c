// Light or dark: as the system has it, until somebody chooses here.
import { el } from './dom.js';

const root = document.documentElement;
const system = matchMedia('(prefers-color-scheme: dark)');

const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : system.matches);

const watchers = new Set();

// Calls back when the colours change, for what CSS does not reach.
export function onThemeChange(callback) {
    watchers.add(callback);
    return () => watchers.delete(callback);
}

function changed() {
    watchers.forEach((callback) => callback());
}

system.addEventListener('change', changed);

function toggle() {
    const theme = isDark() ? 'light' : 'dark';
    if ((theme === 'dark') === system.matches) {
        delete root.dataset.theme;
        localStorage.removeItem('theme');
    } else {
        root.dataset.theme = theme;
        localStorage.setItem('theme', theme);
    }
    changed();
}

const icon = el('span', { 'aria-hidden': 'true' });
export const themeButton = el('button', { type: 'button', class: 'quiet icon', onclick: toggle }, icon);

function label() {
    icon.textContent = isDark() ? '☀' : '☾';
    themeButton.ariaLabel = themeButton.title = isDark() ? 'Use light colours' : 'Use dark colours';
}

onThemeChange(label);
label();
