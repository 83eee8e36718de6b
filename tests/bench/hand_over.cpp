// SPDX-License-Identifier: Apache-2.0
// What a prompt read by the exact filters is worth, as JSON: perplexity of the tokens after it, for a student whose
// stream holds its filters and a realization, read and continued exactly, by the recurrence, or read exactly and handed
// over to the recurrence. Token ids come from standard input.
#include "formats/fd.hpp"
#include "formats/stream/reader.hpp"
#include "libcore/models/network.hpp"
#include "tools/adapters/model/model.hpp"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

using namespace stillhouse;
using models::Execution;
using models::NetworkState;

namespace {

struct Losses {
    std::vector<double> sums;                // by place behind the prompt, in eights of the continuation
    double squares = 0.0;                    // of the difference of the logits to the exact ones
};

}  // namespace

int main(int argc, char** argv)
{
    if (argc < 4) {
        std::fprintf(stderr, "usage: bench_hand_over MODEL PROMPT CONTINUATION [WINDOWS] <ids\n");
        return 2;
    }
    const Index prompt = std::atoll(argv[2]);
    const Index rest = std::atoll(argv[3]) / 8 * 8;
    const Index windows = argc > 4 ? std::atoll(argv[4]) : 16;
    std::vector<Index> ids;
    for (long long id = 0; std::scanf("%lld", &id) == 1;) {
        ids.push_back(id);
    }
    auto source = adapters::ModelSource::stream(formats::StreamReader(formats::Fd::open_input(argv[1])),
                                                [](const std::string&) {});
    auto model = source.load<float>(adapters::ModelSource::Others::drop);
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 1);
    const models::Network<float> network(model.config, std::move(model.weights), backend->single());
    const Index vocabulary = network.config().vocabulary;

    Losses losses[3];
    for (Losses& one : losses) {
        one.sums.assign(8, 0.0);
    }
    Index used = 0;
    Buffer<float> logits(3 * vocabulary);
    const Index stride = (static_cast<Index>(ids.size()) - prompt - rest - 1) / windows;
    for (; used < windows && stride > 0; ++used) {
        const Index* const text = ids.data() + used * stride;
        NetworkState states[3];
        states[0] = network.start(1, Execution::exact_original);
        states[1] = network.start(1, Execution::recurrent);
        network.prefill(text, prompt, states[0], {});
        network.prefill(text, prompt, states[1], {});
        states[2] = network.hand_over(states[0]);
        for (Index t = 0; t < rest; ++t) {
            for (int way = 0; way < 3; ++way) {
                float* const row = logits.data() + way * vocabulary;
                network.step(text + prompt + t, states[way], Matrix<float>(row, 1, vocabulary));
                double total = 0.0;
                for (Index i = 0; i < vocabulary; ++i) {
                    total += std::exp(static_cast<double>(row[i]));
                    losses[way].squares += std::pow(static_cast<double>(row[i] - logits[i]), 2);
                }
                losses[way].sums[static_cast<std::size_t>(t * 8 / rest)] +=
                    std::log(total) - static_cast<double>(row[text[prompt + t + 1]]);
            }
        }
    }
    const char* const names[] = {"exact", "recurrent", "handed_over"};
    std::printf("{\"prompt\": %lld, \"continuation\": %lld, \"windows\": %lld", static_cast<long long>(prompt),
                static_cast<long long>(rest), static_cast<long long>(used));
    for (int way = 0; way < 3; ++way) {
        double sum = 0.0;
        for (const double part : losses[way].sums) {
            sum += part;
        }
        const double tokens = static_cast<double>(used * rest);
        std::printf(",\n \"%s\": {\"perplexity\": %.4f, \"rms_logit_difference\": %.4f, \"perplexity_by_eighths\": [",
                    names[way], std::exp(sum / tokens),
                    std::sqrt(losses[way].squares / tokens / static_cast<double>(vocabulary)));
        for (int part = 0; part < 8; ++part) {
            std::printf("%s%.3f", part > 0 ? ", " : "",
                        std::exp(losses[way].sums[static_cast<std::size_t>(part)] * 8.0 / tokens));
        }
        std::printf("]}");
    }
    std::printf("}\n");
    return 0;
}
