// Bar charts. uPlot draws on a canvas, which knows neither CSS nor screen readers:
// colours are looked up, and a table has to stand beside it.
import uPlot from '../vendor/uplot/dist/uPlot.esm.js';
import { onThemeChange } from './theme.js';

const HEIGHT = 240;
const FONT = '12px system-ui, sans-serif';

function colour(node, name) {
    const probe = document.createElement('i');
    probe.style.color = `var(--${name})`;
    node.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
}

// Beside the lines, for the longest of their marks.
const room = (marks) => 14 + 7 * Math.max(...marks.map(({ length }) => length), 2);

// Draws bars into the node as long as it is in the page, each series over the one
// before. labels: of the bars; series: [{values, colour}]; mark(value): what
// stands beside the lines; point(index): called with the bar pointed at, or null.
export function bars(node, { labels, series, mark, point }) {
    let plot;

    function draw() {
        plot?.destroy();
        const axis = { stroke: colour(node, 'muted'), font: FONT, ticks: { show: false } };
        plot = new uPlot({
            width: node.clientWidth,
            height: HEIGHT,
            legend: { show: false },
            cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
            scales: {
                x: { time: false, range: [-0.6, labels.length - 0.4] },
                y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] },
            },
            axes: [
                {
                    ...axis,
                    grid: { show: false },
                    space: 64,
                    size: 34,
                    incrs: [1, 2, 5, 7, 10, 14, 30],
                    values: (_, at) => at.map((n) => labels[n] ?? ''),
                },
                {
                    ...axis,
                    grid: { stroke: colour(node, 'line'), width: 1 },
                    space: 44,
                    size: (_, marks) => room(marks ?? []),
                    values: (_, at) => at.map(mark),
                },
            ],
            series: [{}, ...series.map((one) => ({
                fill: colour(node, one.colour),
                width: 0,
                points: { show: false },
                paths: uPlot.paths.bars({ size: [0.72, 36], radius: 0.15 }),
            }))],
            hooks: { setCursor: [(u) => point(u.cursor.idx)] },
        }, [labels.map((_, n) => n), ...series.map(({ values }) => values)], node);
    }

    const unwatch = onThemeChange(() => plot && draw());
    // Told when the node enters the page, when it changes, and when it leaves.
    const observer = new ResizeObserver(() => {
        if (!node.isConnected) {
            observer.disconnect();
            unwatch();
            plot?.destroy();
        } else if (!plot) {
            draw();
        } else if (node.clientWidth !== plot.width) {
            plot.setSize({ width: node.clientWidth, height: HEIGHT });
        }
    });
    observer.observe(node);
}
