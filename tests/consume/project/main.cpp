// SPDX-License-Identifier: Apache-2.0
// Somebody else's program: makes a filter of two modes, counts its states, and writes it as a stream.
#include "formats/stream/reader.hpp"
#include "formats/stream/writer.hpp"
#include "libcore/base/error.hpp"
#include "libcore/base/version.hpp"
#include "libcore/systems/hankel.hpp"
#include "libcore/systems/modal.hpp"

#include <complex>
#include <cstdio>
#include <cstring>

int main(int argc, char** argv)
{
    using namespace stillhouse;
    if (argc != 2) {
        return 2;
    }
    try {
        const std::complex<double> pole = std::polar(0.9, 0.3), residue(1.0, 0.5);
        const double first = 2.0;
        const systems::ModalSystem system =
            systems::system_from(std::span(&pole, 1), std::span(&residue, 1), std::span(&first, 1));
        const std::vector<double> h = systems::impulse_response(system, 65);
        systems::SpectrumOptions options;
        options.top = 4;
        options.input = DType::f64;
        options.op = systems::HankelOperator::window;
        const systems::Spectrum spectrum = systems::hankel_spectrum(h, options);

        formats::TensorHeader header;
        header.name = "filter";
        header.dtype = DType::f64;
        header.shape = {1, static_cast<Index>(h.size())};
        formats::StreamWriter writer(formats::AtomicFile(argv[1], formats::Overwrite::replace), {});
        writer.write(header, reinterpret_cast<const std::byte*>(h.data()));
        writer.finish();

        formats::StreamReader reader(formats::Fd::open_input(argv[1]));
        reader.next();
        const formats::Tensor back = reader.read();
        const bool same = std::memcmp(back.data.data(), h.data(), h.size() * sizeof(double)) == 0;
        const bool whole = reader.next() == formats::StreamReader::Frame::end;
        std::printf("stillhouse %s, rank %lld, %s\n", version, static_cast<long long>(spectrum.rank),
                    same && whole ? "same" : "different");
        return same && whole && spectrum.rank == 2 ? 0 : 1;
    } catch (const Error& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
