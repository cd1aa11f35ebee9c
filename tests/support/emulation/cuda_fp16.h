// Stands in for CUDA's header of this name where g++ compiles kernels.cu: half precision, from float alone.
#pragma once

#include <cstdint>
#include <cstring>

struct __half {
    std::uint16_t bits;
};

// To nearest, ties to even, as the GPU's cvt.rn.f16.f32.
inline __half __float2half_rn(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const std::uint16_t sign = bits >> 16 & 0x8000u;
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u) return {0x7fff};
    if (bits >= 0x477ff000u) return {static_cast<std::uint16_t>(sign | 0x7c00u)};
    std::uint32_t kept = bits - 0x38000000u;  // The exponent's bias is 15, not 127.
    std::uint32_t dropped = 13;
    if (bits < 0x38800000u) {  // Becomes subnormal: a whole number of 2^-24.
        const std::uint32_t exponent = bits >> 23;
        if (exponent < 102) return {sign};
        kept = (bits & 0x7fffffu) | 0x800000u;
        dropped = 126 - exponent;
    }
    const std::uint32_t rest = kept & ((1u << dropped) - 1), middle = 1u << (dropped - 1);
    kept >>= dropped;
    kept += rest > middle || (rest == middle && (kept & 1u));
    return {static_cast<std::uint16_t>(sign | kept)};
}
