// A QR code as an image that is drawn of one path.
import { encode } from '../vendor/uqr/dist/index.mjs';

const SVG = 'http://www.w3.org/2000/svg';

function shape(tag, attributes) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) {
        node.setAttribute(name, value);
    }
    return node;
}

export function qrCode(text, label) {
    const { size, data } = encode(text, { ecc: 'M', border: 2 });
    const dots = data.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : ''))).join('');
    const image = shape('svg', {
        viewBox: `0 0 ${size} ${size}`, role: 'img', 'aria-label': label, class: 'qr', 'shape-rendering': 'crispEdges',
    });
    // Dark on light in every theme: many readers take nothing else.
    image.append(shape('rect', { width: size, height: size, fill: '#fff' }), shape('path', { d: dots, fill: '#14171c' }));
    return image;
}
