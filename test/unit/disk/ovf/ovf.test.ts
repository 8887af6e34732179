import { describe, expect, test } from 'vitest';
import { parseOvf, referencedFiles } from '../../../../src/disk/ovf/ovf.js';
import { ovfText } from '../ovf-text.js';

const parse = (text: string, configuration?: string) => parseOvf(Buffer.from(text), { configuration });
const codeOf = (text: string) => {
  try {
    parse(text);
    return 'no error';
  } catch (error) {
    return (error as { code: string }).code;
  }
};
const files = (text: string) => parse(text).disks.map(({ file }) => file);

/** The text with each item of a resource type made by `edit` from the one that is there. */
function withItems(text: string, type: number, edit: (item: string) => string): string {
  return text.replaceAll(/<Item>.*?<\/Item>/g, (item) =>
    item.includes(`<rasd:ResourceType>${type}<`) ? edit(item) : item,
  );
}

describe('a VMware export', () => {
  const text = ovfText(['web01-disk1.vmdk', 'web01-disk2.vmdk']);
  const disk = { capacity: null, format: null };

  test('hardware, disks in controller order, networks', () => {
    expect(parse(text)).toEqual({
      hardware: {
        name: 'web & db',
        memory_mib: 2048,
        vcpus: 4,
        firmware: 'uefi',
        nics: [{ mac: '00:50:56:aa:bb:cc', network: 'VM Network', model: 'VmxNet3' }],
        os_hint: '96',
      },
      disks: [
        { ...disk, controller: 'scsi0:0', file: 'web01-disk1.vmdk' },
        { ...disk, controller: 'scsi0:1', file: 'web01-disk2.vmdk' },
      ],
      files: ['web01-disk1.vmdk', 'web01-disk2.vmdk'],
      warnings: [],
    });
  });

  test.each(['utf16le', 'latin1'] as const)('in %s', (encoding) => {
    const named = text
      .replace('web &amp; db', 'Büro')
      .replace('UTF-8', encoding === 'latin1' ? 'windows-1252' : 'UTF-16');
    const mark = encoding === 'latin1' ? '' : '\ufeff';
    expect(parseOvf(Buffer.from(mark + named, encoding)).hardware.name).toBe('Büro');
  });
});

describe('references', () => {
  test('are URIs, and may be paths', () => {
    expect(files(ovfText(['web%2001.vmdk', './disks/b.vmdk', '50%.vmdk']))).toEqual([
      'web 01.vmdk',
      './disks/b.vmdk',
      '50%.vmdk',
    ]);
  });

  test.each(['http://127.0.0.1/x.vmdk', 'json:{}', 'nbd:unix:/x', 'a%00.vmdk', '..'])(
    '%s is none',
    (name) => {
      expect(codeOf(ovfText([name]))).toBe('fetch.refused-reference');
    },
  );

  test('a disk that is compressed under its own name is unpacked by its content', () => {
    const packed = (name: string, how: string) =>
      ovfText([name]).replace('<File ', `<File ovf:compression="${how}" `);
    expect(files(packed('a.vmdk', 'gzip'))).toEqual(['a.vmdk']);
    expect(files(packed('a.vmdk.xz', 'xz'))).toEqual(['a.vmdk.xz']);
    expect(codeOf(packed('a.vmdk', 'bzip2'))).toBe('fetch.unsupported');
    expect(codeOf(packed('a.raw', 'gzip'))).toBe('fetch.unsupported');
  });

  test('a disk that is the difference from another one is refused, and oVirt’s empty attribute is not', () => {
    const [text, ref] = [ovfText(['a.vmdk']), 'ovf:fileRef="file0"'];
    expect(codeOf(text.replace(ref, `${ref} ovf:parentRef="vmdisk9"`))).toBe('fetch.unsupported');
    expect(files(text.replace(ref, `${ref} ovf:parentRef=""`))).toEqual(['a.vmdk']);
  });

  test('a device that names its file, or nothing that is there', () => {
    const text = ovfText(['a.vmdk', 'b.vmdk']);
    expect(files(text.replace('ovf:/disk/vmdisk1', 'ovf:/file/file1'))).toEqual(['a.vmdk', 'b.vmdk']);
    expect(files(text.replaceAll('ovf:/disk/', '/disk/'))).toEqual(['a.vmdk', 'b.vmdk']);
    expect(codeOf(text.replace('ovf:/disk/vmdisk1', 'ovf:/disk/vmdisk7'))).toBe('fetch.corrupt');
    expect(codeOf(text.replace('ovf:fileRef="file1"', 'ovf:fileRef="file7"'))).toBe('fetch.corrupt');
  });
});

describe('deployment options (DSP0243, 9.8)', () => {
  const options = (defaults: string) =>
    `<DeploymentOptionSection><Info>x</Info>${['tiny', 'medium', 'large']
      .map(
        (id) =>
          `<Configuration ovf:id="${id}"${id === defaults ? ' ovf:default="1"' : ''}><Label>x</Label></Configuration>`,
      )
      .join('')}</DeploymentOptionSection>`;
  const inConfiguration = (item: string, id: string) =>
    item.replace('<Item>', `<Item ovf:configuration="${id}">`);
  /** Memory, CPUs, cards and the second disk are there for each option, memory and CPUs plain as well. */
  function appliance(defaults = ''): string {
    let text = ovfText(['a.vmdk', 'b.vmdk']);
    text = withItems(
      text,
      4,
      (item) =>
        item +
        inConfiguration(item, 'tiny').replace('2048', '512') +
        inConfiguration(item, 'large').replace('2048', '32768'),
    );
    text = withItems(
      text,
      3,
      (item) => inConfiguration(item, 'tiny').replace('>4<', '>1<') + inConfiguration(item, 'medium large'),
    );
    text = withItems(text, 10, (item) => inConfiguration(item, 'tiny') + inConfiguration(item, 'medium'));
    text = withItems(text, 17, (item) => (item.includes('vmdisk1') ? inConfiguration(item, 'medium') : item));
    return text.replace('<VirtualSystem ', `${options(defaults)}<VirtualSystem `);
  }
  const facts = (text: string, wanted?: string) => {
    const { hardware, disks } = parse(text, wanted);
    return [hardware.memory_mib, hardware.vcpus, hardware.nics.length, disks.map(({ file }) => file).join()];
  };

  test.each([
    ['the one that is marked', appliance('medium'), undefined, [2048, 4, 1, 'a.vmdk,b.vmdk']],
    ['the first where none is marked', appliance(), undefined, [512, 1, 1, 'a.vmdk']],
    ['the one that the job asks for', appliance('tiny'), 'large', [32_768, 4, 0, 'a.vmdk']],
  ])('%s applies', (_what, text, wanted, expected) => {
    expect(facts(text, wanted)).toEqual(expected);
  });

  test('one that is not there is refused, and those that are are named', () => {
    expect(() => parse(appliance(), 'huge')).toThrow(
      expect.objectContaining({
        code: 'fetch.unknown-configuration',
        advice: expect.stringMatching(/leave it out\. It has: tiny, medium, large\.$/),
      }),
    );
    expect(() => parse(ovfText(['a.vmdk']), 'huge')).toThrow(
      expect.objectContaining({ code: 'fetch.unknown-configuration' }),
    );
  });

  test('bounds are no devices', () => {
    const bounded = withItems(
      ovfText(['a.vmdk']),
      4,
      (item) =>
        ['min', 'max']
          .map((bound) => item.replace('<Item>', `<Item ovf:bound="${bound}">`).replace('2048', '99'))
          .join('') + item,
    );
    expect(parse(bounded).hardware.memory_mib).toBe(2048);
  });
});

describe('units', () => {
  test.each([
    ['2097152', 'byte * 2^10', 2048],
    ['2097152', 'KiloBytes', 2048],
    ['2048', 'MegaBytes', 2048],
    ['2', 'byte*2^30', 2048],
    ['2', 'GB', 2048],
    ['2', 'gibibyte', 2048],
    ['2048', 'mebibyte', 2048],
    ['2147483648', 'byte', 2048],
    ['2048', 'byte * 1048576', 2048],
    ['2147', 'byte * 10^6', 2047],
    ['2147483', 'byte * 10^3', 2047],
  ])('%s %s', (quantity, units, expected) => {
    const text = withItems(ovfText(['a.vmdk']), 4, (item) =>
      item.replace('byte * 2^20', units).replace('>2048<', `>${quantity}<`),
    );
    expect(parse(text)).toMatchObject({ hardware: { memory_mib: expected }, warnings: [] });
  });

  test.each(['Pages', 'byte * two', 'hertz * 10^6', 'constructor'])('%s is not guessed', (units) => {
    const { hardware, warnings } = parse(ovfText(['a.vmdk']).replace('byte * 2^20', units));
    expect(hardware.memory_mib).toBeNull();
    expect(warnings).toEqual([expect.stringContaining(units)]);
  });
});

test('the pieces of all files together are bounded', () => {
  const files = Array.from(
    { length: 2_000 },
    (_, id) => `<File id="${id}" href="a.vmdk" size="9000" chunkSize="1"/>`,
  );
  const text = `<Envelope><References>${files.join('')}</References></Envelope>`;
  expect(referencedFiles(Buffer.from(text)).length).toBeLessThan(12_000);
});

describe('empty disks', () => {
  const empty = (attributes: string) =>
    ovfText(['a.vmdk', 'b.vmdk']).replace(
      'ovf:capacity="1" ovf:diskId="vmdisk1" ovf:fileRef="file1"',
      `ovf:diskId="vmdisk1" ${attributes}`,
    );

  test.each([
    ['ovf:capacity="8" ovf:capacityAllocationUnits="byte * 2^30"', 8 * 2 ** 30],
    ['ovf:capacity="4096" ovf:fileRef=""', 4096],
    ['ovf:capacity="25" ovf:capacityAllocationUnits="GigaBytes" ovf:fileRef=""', 25 * 2 ** 30],
    ['ovf:size="3"', 3 * 2 ** 30],
  ])('%s', (attributes, capacity) => {
    expect(parse(empty(attributes)).disks).toMatchObject([
      { file: 'a.vmdk', capacity: null },
      { controller: 'scsi0:1', file: null, capacity },
    ]);
  });

  const property = (key: string) => `ovf:capacity="$\{${key}}"`;

  test('the capacity is a property’s default', () => {
    const text = empty(`${property('disk.gib')} ovf:capacityAllocationUnits="byte * 2^30"`).replace(
      '<OperatingSystemSection',
      '<ProductSection><Property ovf:key="disk.gib" ovf:type="int" ovf:value="7"/></ProductSection><OperatingSystemSection',
    );
    expect(parse(text).disks[1]?.capacity).toBe(7 * 2 ** 30);
  });

  test.each([
    '',
    'ovf:capacity="0"',
    'ovf:capacity="many"',
    property('x'),
    `ovf:capacity="${2 ** 53}"`,
    'ovf:capacity="1" ovf:capacityAllocationUnits="miles"',
  ])('without a usable capacity: %j', (attributes) => {
    expect(codeOf(empty(attributes))).toBe('fetch.corrupt');
  });
});

describe('systems', () => {
  test('a collection of one VM is that VM; of several, or two systems, none', () => {
    const text = ovfText(['a.vmdk']);
    const wrapped = (inside: string) =>
      text.replace(
        /<VirtualSystem .*<\/VirtualSystem>/s,
        `<VirtualSystemCollection ovf:id="vapp"><Info>x</Info>${inside}</VirtualSystemCollection>`,
      );
    const [system] = /<VirtualSystem .*<\/VirtualSystem>/s.exec(text) as unknown as [string];
    expect(parse(wrapped(system))).toEqual(parse(text));
    expect(codeOf(wrapped(system + system))).toBe('fetch.several-vms');
    const two = wrapped(
      system +
        system
          .replace('ovf:id="vm"', 'ovf:id="db"')
          .replace('web &amp; db', 'database')
          .replace('>2048<', '>512<'),
    );
    for (const wanted of ['db', 'database'])
      expect(parseOvf(Buffer.from(two), { system: wanted }).hardware.memory_mib).toBe(512);
    expect(parseOvf(Buffer.from(two), { system: 'vm' }).hardware.memory_mib).toBe(2048);
    for (const wanted of [undefined, 'web'])
      expect(() => parseOvf(Buffer.from(two), { system: wanted })).toThrow(
        expect.objectContaining({
          code: 'fetch.several-vms',
          advice: expect.stringContaining('one of vm, db'),
        }),
      );
    expect(referencedFiles(Buffer.from(two))).toEqual(['a.vmdk']);
    expect(codeOf(text.replace('</Envelope>', '<VirtualSystem/></Envelope>'))).toBe('fetch.several-vms');
    expect(codeOf(wrapped(''))).toBe('fetch.corrupt');
  });

  test('OVF 0.9: sections and systems say in their type what they are', () => {
    const old = ovfText(['a.vmdk', 'b.vmdk'])
      .replaceAll('http://schemas.dmtf.org/ovf/envelope/1', 'http://www.vmware.com/schema/ovf/1/envelope')
      .replaceAll(
        /<(DiskSection|OperatingSystemSection|VirtualHardwareSection)/g,
        '<Section xsi:type="ovf:$1_Type"',
      )
      .replaceAll(/<\/(DiskSection|OperatingSystemSection|VirtualHardwareSection)>/g, '</Section>')
      .replace('<VirtualSystem ', '<Content xsi:type="ovf:VirtualSystem_Type" ')
      .replace('</VirtualSystem>', '</Content>')
      .replaceAll('rasd:InstanceID', 'rasd:InstanceId')
      .replaceAll('ovf:/disk/', 'disk/')
      .replace('byte * 2^20', 'MegaBytes');
    expect(parse(old)).toEqual(parse(ovfText(['a.vmdk', 'b.vmdk'])));
  });

  test('oVirt’s own: files without an ending, the boot disk, sockets and cores, the BIOS type', () => {
    const disk = (id: string, format: string, boot: string) =>
      `<Disk ovf:diskId="${id}" ovf:size="1" ovf:fileRef="g${id}/${id}" ovf:volume-format="${format}" ovf:boot="${boot}"/>`;
    const item = (id: string, unit: number) =>
      `<Item><rasd:InstanceId>${id}</rasd:InstanceId><rasd:ResourceType>17</rasd:ResourceType><rasd:HostResource>g${id}/${id}</rasd:HostResource><rasd:AddressOnParent>${unit}</rasd:AddressOnParent></Item>`;
    const text = `<?xml version='1.0' encoding='UTF-8'?><ovf:Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1/" xmlns:rasd="x" xmlns:xsi="y">
      <References><File ovf:href="d1" ovf:id="d1"/><File ovf:href="d2" ovf:id="d2"/></References>
      <Section xsi:type="ovf:DiskSection_Type">${disk('d1', 'RAW', 'false')}${disk('d2', 'COW', 'true')}</Section>
      <Content ovf:id="out" xsi:type="ovf:VirtualSystem_Type"><Name>ovirt</Name><BiosType>4</BiosType>
        <Section xsi:type="ovf:VirtualHardwareSection_Type">
          <Item><rasd:ResourceType>3</rasd:ResourceType><rasd:num_of_sockets>2</rasd:num_of_sockets><rasd:cpu_per_socket>3</rasd:cpu_per_socket></Item>
          <Item><rasd:ResourceType>4</rasd:ResourceType><rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits><rasd:VirtualQuantity>1024</rasd:VirtualQuantity></Item>
          ${item('d1', 0)}${item('d2', 1)}
          <Item><rasd:ResourceType>10</rasd:ResourceType><rasd:MACAddress>56:6F:00:00:00:01</rasd:MACAddress></Item>
        </Section></Content></ovf:Envelope>`;
    expect(parse(text)).toMatchObject({
      hardware: {
        name: 'ovirt',
        vcpus: 6,
        memory_mib: 1024,
        firmware: 'uefi',
        nics: [{ mac: '56:6f:00:00:00:01' }],
      },
      disks: [
        { file: 'd2', format: 'qcow2' },
        { file: 'd1', format: 'raw' },
      ],
    });
  });

  test('controllers by their addresses, NVMe by its subtype', () => {
    const text = ovfText(['a.vmdk', 'b.vmdk'])
      .replace('<rasd:Address>0</rasd:Address>', '<rasd:Address>1</rasd:Address>')
      .replace(
        '<VirtualHardwareSection>',
        '<VirtualHardwareSection><Item><rasd:Address>0</rasd:Address><rasd:InstanceID>4</rasd:InstanceID><rasd:ResourceSubType>vmware.nvme.controller</rasd:ResourceSubType><rasd:ResourceType>20</rasd:ResourceType></Item>',
      );
    const moved = withItems(text, 17, (item) =>
      item.includes('vmdisk0') ? item.replace('<rasd:Parent>3', '<rasd:Parent>4') : item,
    );
    expect(parse(moved).disks).toMatchObject([
      { controller: 'scsi1:1', file: 'b.vmdk' },
      { controller: 'nvme0:0', file: 'a.vmdk' },
    ]);
  });

  test('VirtualBox says its firmware in its own element', () => {
    const text = ovfText(['a.vmdk'])
      .replace(/<vmw:Config[^>]*>/, '')
      .replace(
        '</VirtualSystem>',
        '<vbox:Machine><Hardware><Firmware type="EFI"/></Hardware></vbox:Machine></VirtualSystem>',
      );
    expect(parse(text).hardware.firmware).toBe('uefi');
  });
});
