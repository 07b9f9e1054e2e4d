with source as (

    select * from {{ source('lake', 'live_gamma') }}

),

renamed as (

    select
        -- identity
        underlying,
        stream_sequence,
        feed,
        model,

        -- underlying price
        spot,
        spot_source,
        spot_age_seconds,

        -- exposures
        net_delta_exposure_usd,
        net_gamma_exposure_usd_per_pct,
        net_vanna_exposure_usd_per_vol_pt,
        net_charm_exposure_usd_per_day,
        net_volga_exposure_usd_per_vol_pt2,
        call_gamma_exposure_usd_per_pct,
        put_gamma_exposure_usd_per_pct,
        zero_dte_gamma_exposure_usd_per_pct,
        gross_gamma_exposure_usd_per_pct,
        net_gamma_sd_usd_per_pct,

        -- what they rest on
        contracts,
        contracts_priced,
        settled_open_interest_share,
        trades,
        signed_share,
        quoted_share,

        -- dates and instants
        session_date,
        event_at,
        known_at,
        priced_at,
    from source
    -- second by second, a year of it would make every build slow: the lake keeps the rest
    where session_date > (select max(session_date) from source) - {{ var('live_days') }}
    -- while a session is compacted its rows lie in two files, the same in both
    qualify
        row_number() over (
            partition by underlying, session_date, stream_sequence
            order by known_at
        ) = 1

)

select * from renamed
