"""A Modbus TCP server by pymodbus: prints its port, and serves made-up holding registers.

0-1 the 32-bit float 49.985, high word first; 2-3 the 32-bit -38730, low word first; 4 the 16-bit -325.
"""

import asyncio
import socket
import struct

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext

try:
    from pymodbus.datastore import ModbusDeviceContext
except ImportError:
    from pymodbus.datastore import ModbusSlaveContext as ModbusDeviceContext
from pymodbus.server import StartAsyncTcpServer

words = list(struct.unpack(">2H", struct.pack(">f", 49.985)))
words += list(struct.unpack(">2H", struct.pack(">i", -38730)))[::-1]
words += [-325 & 0xFFFF]


async def main():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The library counts a block's registers from 1.
    device = ModbusDeviceContext(hr=ModbusSequentialDataBlock(1, words + [0] * 20))
    context = ModbusServerContext(device, True)
    print(port, flush=True)
    await StartAsyncTcpServer(context=context, address=("127.0.0.1", port))


asyncio.run(main())
